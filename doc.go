// Package albion holds the nouns of an application load balancer: load
// balancers, listeners, rules, target groups, certificates, security groups,
// and the State that they make up. It is the one package that both planes
// import: control writes a State, data serves it.
//
// A State is a value. It is never changed once published: a Draft makes the
// next one, Validate is every rule that spans objects, and a State that
// Validate accepts always compiles into something that can be served.
//
//	draft := albion.NewDraft(state)
//	albion.Put(draft, &albion.TargetGroup{ARN: arn, Name: "chat", …})
//	next, err := draft.Finish()
//
// There is no I/O, no goroutine and no clock here. Names, defaults, ranges and
// error codes are those of AWS's Elastic Load Balancing API, version
// 2015-12-01, wherever a client could tell the difference.
package albion
