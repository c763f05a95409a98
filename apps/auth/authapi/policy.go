package authapi

// SecurityPolicy is what an organization demands of its members, beyond what is demanded of everybody.
type SecurityPolicy struct {
	Password PasswordPolicy `json:"password"`
	Sessions SessionPolicy  `json:"sessions"`
	MFA      MFAPolicy      `json:"mfa"`
	// Networks are CIDR prefixes; a request from elsewhere is a 403 network_not_allowed. None: from anywhere.
	Networks             []string `json:"networks" maxItems:"100" doc:"CIDR prefixes that members may come from; none for anywhere" example:"[\"203.0.113.0/24\"]"`
	RequireVerifiedEmail bool     `json:"require_verified_email" doc:"Refuse to sign in until the e-mail address is verified"`
	EnforceSSO           bool     `json:"enforce_sso" doc:"Members other than owners sign in through the organization's identity provider only"`
}

// PasswordPolicy are the organization's own rules for passwords.
type PasswordPolicy struct {
	MinLength     int  `json:"min_length" minimum:"12" maximum:"64" doc:"Characters" example:"12"`
	RequireUpper  bool `json:"require_upper" doc:"Demand an upper-case letter"`
	RequireLower  bool `json:"require_lower" doc:"Demand a lower-case letter"`
	RequireDigit  bool `json:"require_digit" doc:"Demand a digit"`
	RequireSymbol bool `json:"require_symbol" doc:"Demand a character that is no letter or digit"`
}

// SessionPolicy bounds sessions.
type SessionPolicy struct {
	IdleMinutes   int `json:"idle_minutes" minimum:"0" maximum:"43200" doc:"Minutes without a refresh after which a session ends; 0 for the platform's limit" example:"480"`
	AbsoluteHours int `json:"absolute_hours" minimum:"0" maximum:"8760" doc:"Hours after the sign-in after which a session ends; 0 for no limit" example:"720"`
}

// MFAPolicy says who must sign in with a second factor.
type MFAPolicy struct {
	RequiredRoles []string    `json:"required_roles" maxItems:"50" doc:"Roles that need a second factor; * for every member" example:"[\"owner\",\"admin\"]"`
	Methods       []MFAMethod `json:"methods" doc:"Second factors that count" example:"[\"totp\",\"passkey\"]"`
	RememberDays  int         `json:"remember_days" minimum:"0" maximum:"90" doc:"Days for which a device that was remembered needs no second factor" example:"30"`
}

// MFAMethod is a kind of second factor.
type MFAMethod string

// The second factors there are. The order is the one in which they are offered.
const (
	MFAPasskey  MFAMethod = "passkey"
	MFATOTP     MFAMethod = "totp"
	MFAEmail    MFAMethod = "email"
	MFASMS      MFAMethod = "sms"
	MFARecovery MFAMethod = "recovery_code"
)

// DefaultPolicy is the policy of an organization that has set none.
func DefaultPolicy() SecurityPolicy {
	return SecurityPolicy{
		Password: PasswordPolicy{MinLength: 12},
		MFA: MFAPolicy{
			RequiredRoles: []string{}, Methods: []MFAMethod{MFAPasskey, MFATOTP, MFAEmail, MFASMS, MFARecovery}, RememberDays: 30,
		},
		Networks: []string{},
	}
}
