package scenario

const apiKeys = "/api/auth/api-keys"
