package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/skip"
)

// Kafka is a broker that people sign in to with SASL PLAIN over TLS.
type Kafka struct{ Broker, User, Password string }

// NewKafka starts Apache Kafka as one process, its own controller. Its jars are in the repository's .tandem/kafka, where
// `make kafka` puts those that kafka/pom.xml names.
func NewKafka(t testing.TB, a Authority) Kafka {
	t.Helper()
	java := need(t, "java", "default-jre-headless")
	_, here, _, _ := runtime.Caller(0)
	jars := filepath.Join(filepath.Dir(here), "../../.tandem/kafka")
	if _, err := os.Stat(filepath.Join(jars, "installed")); err != nil {
		skip.Missing(t, "Apache Kafka is not there (make kafka downloads it with Maven, Debian's package maven)")
	}
	dir, port, controller := t.TempDir(), daprtest.Port(t), daprtest.Port(t)
	k := Kafka{at(port), "tandem", password()}
	chain, key := a.issue(t)
	write(t, filepath.Join(dir, "keystore.pem"), key+chain)
	properties := write(t, filepath.Join(dir, "server.properties"), fmt.Sprintf(`
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=CLIENTS://%[3]s:%[1]d
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  username="%[4]s" password="%[5]s" user_%[4]s="%[5]s";
ssl.keystore.type=PEM
ssl.keystore.location=%[6]s/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=%[7]s
log.dirs=%[6]s/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`, port, controller, host, k.User, k.Password, dir, a.File))
	logging := write(t, filepath.Join(dir, "log4j.properties"), `
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.SimpleLayout
`)
	start := func(main string, arguments ...string) *exec.Cmd {
		return exec.Command(java, append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-Dlog4j.configuration=file:" + logging, "-cp", jars + "/*", main}, arguments...)...)
	}
	do(t, start("kafka.tools.StorageTool", "format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config", properties))
	// It shakes hands once it takes requests.
	run(t, start("kafka.Kafka", properties), func() error { return a.ask(port, "", "") })
	return k
}
