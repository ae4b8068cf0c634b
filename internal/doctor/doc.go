// Package doctor says what a browser and a certificate authority would make of a
// name: what stands between a person and a working https:// and wss://, and for
// each thing the one next step.
//
//	subject, err := doctor.ParseSubject("https://chat.example.com/chat", 80)
//	report := doctor.Examine(ctx, subject, doctor.Config{Names: resolver})
//	fmt.Println(report.Summary)
//
// It looks from outside, like anybody else, and needs no server; where one runs
// it is told what that knows (Known). Looking and judging are apart: what is seen
// is a value, bounded in time and size, and every check is a function from it to
// findings. It changes nothing, and its findings are advice.
package doctor
