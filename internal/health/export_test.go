package health

// Matches says whether a status is one of a Matcher's.
func Matches(matcher string, status int) bool { return matches(matcher, Result{Status: status}) }

// MaxProbes is how many probes may be under way at once.
const MaxProbes = maxProbes
