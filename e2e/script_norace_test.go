//go:build !race

package e2e_test

// raceDetector says that the tests run with it, so that the program does too.
const raceDetector = false
