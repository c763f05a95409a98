package klaviyo

// CarryAtMost has cursors of figures carry fewer days of messages.
func (c *Connector) CarryAtMost(n int) { c.carries = n }
