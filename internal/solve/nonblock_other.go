//go:build !unix

package solve

// nonblock changes nothing: folders here hold no pipes.
const nonblock = 0
