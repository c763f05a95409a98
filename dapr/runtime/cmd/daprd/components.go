package main

// The components beside those of the `stablecomponents` build tag. Official releases of daprd have all
// of them; `allcomponents` does not compile with Go 1.26.

import (
	"github.com/dapr/components-contrib/bindings/smtp"
	"github.com/dapr/components-contrib/bindings/twilio/sms"
	"github.com/dapr/components-contrib/conversation/anthropic"
	"github.com/dapr/components-contrib/conversation/echo"
	"github.com/dapr/components-contrib/conversation/googleai"
	"github.com/dapr/components-contrib/conversation/mistral"
	"github.com/dapr/components-contrib/conversation/ollama"
	"github.com/dapr/components-contrib/conversation/openai"
	"github.com/dapr/components-contrib/crypto/localstorage"
	lockredis "github.com/dapr/components-contrib/lock/redis"
	resolversqlite "github.com/dapr/components-contrib/nameresolution/sqlite"
	"github.com/dapr/components-contrib/pubsub/jetstream"

	"github.com/dapr/dapr/pkg/components/bindings"
	"github.com/dapr/dapr/pkg/components/conversation"
	"github.com/dapr/dapr/pkg/components/crypto"
	"github.com/dapr/dapr/pkg/components/lock"
	"github.com/dapr/dapr/pkg/components/nameresolution"
	"github.com/dapr/dapr/pkg/components/pubsub"
)

func init() {
	pubsub.DefaultRegistry.RegisterComponent(jetstream.NewJetStream, "jetstream")
	nameresolution.DefaultRegistry.RegisterComponent(resolversqlite.NewResolver, "sqlite")
	bindings.DefaultRegistry.RegisterOutputBinding(smtp.NewSMTP, "smtp")
	bindings.DefaultRegistry.RegisterOutputBinding(sms.NewSMS, "twilio.sms")
	lock.DefaultRegistry.RegisterComponent(lockredis.NewStandaloneRedisLock, "redis")
	crypto.DefaultRegistry.RegisterComponent(localstorage.NewLocalStorageCrypto, "dapr.localstorage")

	conversation.DefaultRegistry.RegisterComponent(echo.NewEcho, "echo")
	conversation.DefaultRegistry.RegisterComponent(openai.NewOpenAI, "openai")
	conversation.DefaultRegistry.RegisterComponent(anthropic.NewAnthropic, "anthropic")
	conversation.DefaultRegistry.RegisterComponent(googleai.NewGoogleAI, "googleai")
	conversation.DefaultRegistry.RegisterComponent(mistral.NewMistral, "mistral")
	conversation.DefaultRegistry.RegisterComponent(ollama.NewOllama, "ollama")
}
