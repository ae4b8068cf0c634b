// Package deliver brings certificates to where others use them, now and whenever
// their contents change: folders in certbot's form, and AWS Certificate Manager.
//
//	r := deliver.Runner{
//		State: store.State, Changed: changed, Update: store.Update, Now: time.Now, After: time.After,
//		To: map[albion.DeliveryKind]deliver.Place{albion.Live: writeLive},
//	}
//	err := r.Run(ctx)
//
// What is wanted are the State's Deliveries, which also hold what has become of
// each; what is due, Plan says. How something is brought to a place, the places
// know.
package deliver
