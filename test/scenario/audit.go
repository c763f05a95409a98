package scenario

const audit = "/api/auth/audit"
