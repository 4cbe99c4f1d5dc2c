/**
 * A block of memory that PDU headers are written into.
 *
 * Bytes and one `DataView` over them, so that writing a header makes no objects. Who owns a slab decides
 * when a region may be written again: not before the socket has taken the bytes.
 *
 * @packageDocumentation
 */
export class Slab {
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(lengthBytes: number) {
    // Outside of the shared pool: the view must cover this memory and nothing else.
    this.bytes = Buffer.allocUnsafeSlow(lengthBytes).fill(0);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }
}
