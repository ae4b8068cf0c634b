// Package config reads albion.yaml and makes a State hold what the file
// declares: certificates, security groups, target groups, load balancers with
// their listeners and rules, hosted zones with their record sets.
//
//	file, err := config.Parse("albion.yaml", data)
//	…
//	changes, err := file.Apply(draft, env)
//	next, err := draft.Finish()
//	err = file.Locate(err)
//
// A file is taken whole or refused whole, and every problem is a Problem with
// file, line and column. Applying is idempotent: objects are found by their
// names, keep their ARNs, and are put only when something differs; what the
// file declared earlier and declares no longer is removed, and what somebody
// else made is left alone.
//
// The package opens no file itself, watches nothing and knows neither the store
// nor the certificates' contents: Env brings what it needs of them.
package config
