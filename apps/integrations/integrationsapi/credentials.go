package integrationsapi

// Sealing is how the credentials of all organizations' connections are sealed at a moment.
type Sealing struct {
	Key         string `json:"key" doc:"Name of the current key-encryption key" example:"5f0c2a9be1d47a36"`
	Connections int    `json:"connections" doc:"Connections that have credentials" example:"1200"`
	Resealed    int    `json:"resealed" doc:"How many of them were encrypted again just now" example:"0"`
	// Left is what keeps former keys from being removed.
	Left int `json:"left" doc:"How many are encrypted with a former key still" example:"0"`
	// Unreadable credentials are of no use with the former keys there are, so they keep none of them.
	Unreadable int `json:"unreadable" doc:"How many cannot be read: they were changed, or their key is neither the current nor a former one" example:"0"`
}
