package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// An encoded state is a magic word and then blocks: 4 bytes of length, that
// many bytes, and 4 bytes of the CRC-32C of all blocks so far. An empty block
// is the last. No value crosses the end of a block.
const (
	wireMagic = "DDFOLD\r\n"
	blockSize = 32 << 10 // a block ends at the first pause behind it
	blockMax  = 64 << 20 // that a reader takes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writer writes values into blocks. Its error, the first of to, is kept until
// the end.
type writer struct {
	to      io.Writer
	started bool
	block   []byte
	sum     uint32
	err     error
}

func (w *writer) byte(b byte)      { w.block = append(w.block, b) }
func (w *writer) bytes(b []byte)   { w.block = append(w.block, b...) }
func (w *writer) uvarint(n uint64) { w.block = binary.AppendUvarint(w.block, n) }
func (w *writer) varint(n int64)   { w.block = binary.AppendVarint(w.block, n) }
func (w *writer) text(s string)    { w.uvarint(uint64(len(s))); w.block = append(w.block, s...) }

// pause is called between values; it writes out a full block.
func (w *writer) pause() {
	if len(w.block) >= blockSize {
		w.flush()
	}
}

func (w *writer) flush() {
	if !w.started {
		w.started = true
		w.write([]byte(wireMagic))
	}
	w.sum = crc32.Update(w.sum, castagnoli, w.block)
	w.write(binary.LittleEndian.AppendUint32(nil, uint32(len(w.block))))
	w.write(w.block)
	w.write(binary.LittleEndian.AppendUint32(nil, w.sum))
	w.block = w.block[:0]
}

func (w *writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.to.Write(b)
	}
}

// end writes out what is left and returns the first error.
func (w *writer) end() error {
	if len(w.block) > 0 {
		w.flush()
	}
	w.flush()
	if w.err != nil {
		return fmt.Errorf("write the state of the fold: %w", w.err)
	}
	return nil
}

// errEncoding is the one thing wrong with bytes that Encode did not write.
var errEncoding = errors.New("not what the fold writes")

// reader reads what writer wrote. After the first error, which it keeps, every
// value is zero.
type reader struct {
	from  *bufio.Reader
	block []byte // what is left of it
	sum   uint32
	err   error
}

func newReader(from io.Reader) reader {
	r := reader{from: bufio.NewReaderSize(from, 64<<10)}
	magic := make([]byte, len(wireMagic))
	if r.read(magic); r.err == nil && string(magic) != wireMagic {
		r.fail("magic word")
	}
	return r
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", what, errEncoding)
	}
}

func (r *reader) read(b []byte) {
	if r.err != nil {
		return
	}
	if _, r.err = io.ReadFull(r.from, b); errors.Is(r.err, io.EOF) {
		r.err = io.ErrUnexpectedEOF
	}
}

// next reads a block and reports whether it was not the last.
func (r *reader) next() bool {
	var word [4]byte
	r.read(word[:])
	length := binary.LittleEndian.Uint32(word[:])
	if length > blockMax {
		r.fail("length of a block")
	}
	if r.err != nil {
		return false
	}
	// The length is not to be trusted with memory before the bytes are there.
	block := make([]byte, 0, min(length, 4*blockSize))
	for len(block) < int(length) && r.err == nil {
		more := min(int(length)-len(block), max(len(block), 4*blockSize))
		start := len(block)
		block = append(block, make([]byte, more)...)
		r.read(block[start:])
	}
	r.sum = crc32.Update(r.sum, castagnoli, block)
	r.read(word[:])
	if r.err == nil && binary.LittleEndian.Uint32(word[:]) != r.sum {
		r.fail("checksum")
	}
	if r.err != nil {
		return false
	}
	r.block = block
	return length > 0
}

// ready makes sure that a value can be read.
func (r *reader) ready() bool {
	if r.err == nil && len(r.block) == 0 && !r.next() {
		r.fail("too few values")
	}
	return r.err == nil
}

func (r *reader) byte() byte {
	if !r.ready() {
		return 0
	}
	b := r.block[0]
	r.block = r.block[1:]
	return b
}

func (r *reader) bytes(n int) []byte {
	if n == 0 || !r.ready() {
		return nil
	}
	if n > len(r.block) {
		r.fail("length of a value")
		return nil
	}
	b := r.block[:n]
	r.block = r.block[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	if !r.ready() {
		return 0
	}
	n, size := binary.Uvarint(r.block)
	if size <= 0 || size > 1 && r.block[size-1] == 0 { // short, too large, or padded
		r.fail("number")
		return 0
	}
	r.block = r.block[size:]
	return n
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.block)) {
		r.fail("length of a text")
		return ""
	}
	return string(r.bytes(int(n)))
}

// end checks that nothing is left.
func (r *reader) end() error {
	if r.err == nil && (len(r.block) > 0 || r.next()) {
		r.fail("too many values")
	}
	if r.err == nil {
		if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
			r.fail("bytes behind the end")
		}
	}
	if r.err != nil {
		return fmt.Errorf("read the state of the fold: %w", r.err)
	}
	return nil
}
