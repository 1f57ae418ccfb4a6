#!/bin/sh
# Settings come as variables with dots in their names, which a shell does not know: the kernel does.
# Those of modules that are not here (security, for one: there is none to switch off) are left out.
set -o nounset -o errexit
home=/usr/share/elasticsearch
given=$(tr '\0' '\n' < /proc/$$/environ | grep -E '^[a-z][a-z0-9_]*\.[a-z0-9_.]+=' \
  | grep -vE '^(xpack|ingest)\.' | sed 's/=/: /' || true)
{
  echo "$given"
  echo "$given" | grep -q '^cluster.name:' || echo "cluster.name: docker-cluster"
  echo "$given" | grep -q '^node.name:' || echo "node.name: $(hostname)"
  echo "$given" | grep -q '^network.host:' || echo "network.host: 0.0.0.0"
  echo "path.data: $home/data"
  echo "path.logs: $home/logs"
} > $home/config/elasticsearch.yml
exec java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
  -Djava.awt.headless=true -Des.distribution.type=docker -Dlog4j2.disable.jmx=true \
  ${ES_JAVA_OPTS-} -cp "$home/lib/*" reviewstream.elasticsearch.Main $home $home/config
