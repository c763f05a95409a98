package render

func renderProduction(p *plan, files map[string][]byte) error { return nil }

func renderPrometheus(p *plan, files map[string][]byte) error { return nil }
