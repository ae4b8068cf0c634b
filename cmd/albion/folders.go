package main

// Folders in the data folder that commands and the server share with programs.
const (
	scriptsFolder = "hooks" // programs taken over from certbot, which stay
	runFolder     = "run"   // files for a hook while it runs; what is left there is removed at the start
)
