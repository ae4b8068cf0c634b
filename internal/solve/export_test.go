package solve

// ParseCredentials reads the text of a file with credentials.
func ParseCredentials(raw []byte) (map[string]string, error) { return parseCredentials(raw) }
