package ledger

import (
	"iter"
	"slices"
)

// order is a total order of the items of a queue. moved tells an item where in
// the queue it is, so that it can be removed from there.
type order[T any] interface {
	before(a, b T) bool
	moved(item T, index int)
}

// queue is a binary heap: its first item is at index 0, and push, remove and
// fix cost the logarithm of its length.
type queue[T any, O order[T]] []T

func (q *queue[T, O]) push(item T) {
	*q = append(*q, item)
	q.up(len(*q) - 1)
}

// remove takes out the item at index i.
func (q *queue[T, O]) remove(i int) {
	var none T
	last := len(*q) - 1
	moved := (*q)[last]
	(*q)[last] = none
	*q = (*q)[:last]
	if i < last {
		(*q)[i] = moved
		q.fix(i)
	}
}

// fix restores the order after the item at index i changed.
func (q queue[T, O]) fix(i int) {
	if !q.down(i) {
		q.up(i)
	}
}

func (q queue[T, O]) up(i int) {
	var o O
	item := q[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !o.before(item, q[parent]) {
			break
		}
		q[i] = q[parent]
		o.moved(q[i], i)
		i = parent
	}
	q[i] = item
	o.moved(item, i)
}

// down reports whether the item at index i moved.
func (q queue[T, O]) down(i int) bool {
	var o O
	item, from := q[i], i
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if right := child + 1; right < len(q) && o.before(q[right], q[child]) {
			child = right
		}
		if !o.before(q[child], item) {
			break
		}
		q[i] = q[child]
		o.moved(q[i], i)
		i = child
	}
	q[i] = item
	o.moved(item, i)
	return i > from
}

// inOrder yields the items first to last. It looks only at as many as it
// yields, about twice over, so the first few of a long queue are cheap.
func (q queue[T, O]) inOrder() iter.Seq[T] {
	return func(yield func(T) bool) {
		var o O
		// The next item is among those whose parents were yielded: front, sorted.
		front := make([]int, 0, 16)
		open := func(i int) {
			if i >= len(q) {
				return
			}
			at, _ := slices.BinarySearchFunc(front, i, func(a, b int) int {
				if o.before(q[a], q[b]) {
					return -1
				}
				return 1
			})
			front = slices.Insert(front, at, i)
		}
		open(0)
		for len(front) > 0 {
			i := front[0]
			if !yield(q[i]) {
				return
			}
			front = front[1:]
			open(2*i + 1)
			open(2*i + 2)
		}
	}
}
