package albion

// tree is an ordered map that is never written: with and without return another
// one, which shares with it all but the path to what differs. So a change costs
// in proportion to the logarithm of the size, and looking at all of it needs no
// sorting. nil is the empty tree.
//
// It is a treap whose ranks are hashes of the keys: its shape depends on what it
// holds and not on how that came to be, so equal trees are deeply equal. The keys
// are the operator's own and never a client's, so nobody has a reason to choose
// them for their hashes.
type tree[T any] struct {
	key         string
	rank        uint64
	value       T
	left, right *tree[T] // of lower rank
	size        int
}

func (t *tree[T]) len() int {
	if t == nil {
		return 0
	}
	return t.size
}

func (t *tree[T]) get(key string) (value T, ok bool) {
	for t != nil {
		switch {
		case key < t.key:
			t = t.left
		case key > t.key:
			t = t.right
		default:
			return t.value, true
		}
	}
	return value, false
}

// from yields what there is from a key on, in order. False: yield wants no more.
func (t *tree[T]) from(key string, yield func(string, T) bool) bool {
	switch {
	case t == nil:
		return true
	case key > t.key:
		return t.right.from(key, yield)
	}
	return t.left.from(key, yield) && yield(t.key, t.value) && t.right.from(key, yield)
}

func (t *tree[T]) with(key string, value T) *tree[T] {
	switch {
	case t == nil:
		return &tree[T]{key: key, rank: rankOf(key), value: value, size: 1}
	case key < t.key:
		left := t.left.with(key, value)
		if left.above(t) {
			return left.over(left.left, t.over(left.right, t.right))
		}
		return t.over(left, t.right)
	case key > t.key:
		right := t.right.with(key, value)
		if right.above(t) {
			return right.over(t.over(t.left, right.left), right.right)
		}
		return t.over(t.left, right)
	}
	same := t.over(t.left, t.right)
	same.value = value
	return same
}

func (t *tree[T]) without(key string) *tree[T] {
	switch {
	case t == nil:
		return nil
	case key < t.key:
		return t.over(t.left.without(key), t.right)
	case key > t.key:
		return t.over(t.left, t.right.without(key))
	}
	return merged(t.left, t.right)
}

// merged makes one tree of two, all keys of the first being before those of the
// second.
func merged[T any](a, b *tree[T]) *tree[T] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.above(b):
		return a.over(a.left, merged(a.right, b))
	}
	return b.over(merged(a, b.left), b.right)
}

// above says which of two is nearer to the root.
func (t *tree[T]) above(other *tree[T]) bool {
	return t.rank > other.rank || t.rank == other.rank && t.key < other.key
}

// over is a copy of t above two others.
func (t *tree[T]) over(left, right *tree[T]) *tree[T] {
	return &tree[T]{key: t.key, rank: t.rank, value: t.value, left: left, right: right, size: 1 + left.len() + right.len()}
}

// rankOf is FNV-1a, stirred so that keys that differ in their last sign only have
// nothing in common.
func rankOf(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
