//go:build !unix

package certbot

// nonblock changes nothing: folders here hold no pipes.
const nonblock = 0
