//! Java programs.

use super::path::{base, is_generic, stem};
use super::{Command, script};

/// Options whose value is the next word.
const WITH_VALUE: &[&str] = &[
    "-classpath",
    "-cp",
    "-p",
    "--add-exports",
    "--add-modules",
    "--add-opens",
    "--add-reads",
    "--class-path",
    "--enable-native-access",
    "--limit-modules",
    "--module-path",
    "--patch-module",
    "--source",
    "--upgrade-module-path",
];

/// Properties by which applications are told their own name.
const NAMES: &[&str] =
    &["-Dotel.service.name=", "-Dspring.application.name=", "-Dquarkus.application.name="];

/// Main classes of well-known programs whose class does not say what they are.
const KNOWN: &[(&str, &str)] = &[
    ("org.apache.catalina.startup.Bootstrap", "tomcat"),
    ("org.apache.zookeeper.server.quorum.QuorumPeerMain", "zookeeper"),
    ("kafka.Kafka", "kafka"),
    ("org.elasticsearch.bootstrap.Elasticsearch", "elasticsearch"),
    ("org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch", "elasticsearch"),
    ("org.opensearch.bootstrap.OpenSearch", "opensearch"),
    ("org.apache.cassandra.service.CassandraDaemon", "cassandra"),
    ("org.jboss.modules.Main", "wildfly"),
    ("org.eclipse.jetty.start.Main", "jetty"),
    ("org.apache.activemq.artemis.boot.Artemis", "artemis"),
    ("org.gradle.launcher.daemon.bootstrap.GradleDaemon", "gradle"),
    ("org.neo4j.server.CommunityEntryPoint", "neo4j"),
];

/// The name that the program was given, of its jar, or of its main class.
pub(super) fn name(command: &Command<'_>, words: &[&str]) -> Option<String> {
    let given = words.iter().find_map(|word| NAMES.iter().find_map(|name| word.strip_prefix(name)));
    if let Some(name) = given {
        return Some(name.to_owned());
    }
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        match *word {
            "-jar" => return Some(jar(command, words.get(at)?)),
            "-m" | "--module" => return class(words.get(at)?),
            word if WITH_VALUE.contains(&word) => at += 1,
            word if word.starts_with(['-', '@']) => {}
            word if word.ends_with(".java") => return Some(script(command, word)),
            word => return class(word),
        }
    }
    None
}

/// `shop-1.2.3-SNAPSHOT.jar` -> `shop`.
fn jar(command: &Command<'_>, path: &str) -> String {
    let whole = stem(path);
    let version = whole
        .as_bytes()
        .windows(2)
        .position(|pair| matches!(pair[0], b'-' | b'_') && pair[1].is_ascii_digit());
    let mut name = &whole[..version.unwrap_or(whole.len())];
    for ending in ["-SNAPSHOT", "-all", "-boot", "-exec", "-fat", "-runner", "-uber"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    if name.is_empty() || is_generic(name) || name == "quarkus-run" {
        let parent = super::path::resolve(command.directory, path);
        return super::directory(super::path::parent(&parent))
            .or_else(|| super::here(command))
            .unwrap_or_else(|| whole.to_owned());
    }
    name.to_owned()
}

/// `com.acme.Shop` -> `Shop`, `com.acme.shop.Main` -> `shop`.
fn class(class: &str) -> Option<String> {
    if let Some((_, name)) = KNOWN.iter().find(|(known, _)| *known == class) {
        return Some((*name).to_owned());
    }
    // The launcher of a Spring Boot jar: the application is behind it, unnamed.
    if class.starts_with("org.springframework.boot.loader.") {
        return None;
    }
    let class = base(class);
    let parts = || {
        let parts = class.rsplit(['.', '$']).map(|part| part.strip_suffix("Kt").unwrap_or(part));
        parts.filter(|part| !part.is_empty())
    };
    // A class in no package has no better name than its own.
    let part = parts().find(|part| !is_generic(part)).or_else(|| parts().next())?;
    Some(part.to_owned())
}
