package acm

// What the journal does between two requests to a CA, for tests that play the
// CA themselves.
var (
	Begin   = begin
	Install = install
	Fail    = fail
	Looked  = look
	RenewAt = renewAt
)

// What is told and seen, for tests that play hooks and listeners.
var (
	Sight  = sight
	TellAt = tellAt
)
