use std::collections::HashMap;

use clap::Parser;

use super::*;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    otlp: OtlpArgs,
}

fn resolve(flags: &[&str], env: &[(&str, &str)]) -> Result<Option<OtlpConfig>, ConfigError> {
    let args = std::iter::once("tracebee").chain(flags.iter().copied());
    let args = Cli::try_parse_from(args).expect("the test's flags are valid").otlp;
    let env: HashMap<_, _> = env.iter().copied().collect();
    args.resolve(|name| env.get(name).map(|value| (*value).to_owned()))
}

fn config(flags: &[&str], env: &[(&str, &str)]) -> OtlpConfig {
    resolve(flags, env).expect("valid").expect("an endpoint is set")
}

fn url(flags: &[&str], env: &[(&str, &str)]) -> String {
    config(flags, env).endpoint.url().to_string()
}

const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

#[test]
fn no_endpoint_no_exporter() {
    assert!(resolve(&[], &[]).expect("valid").is_none());
    let noise = [(GENERAL, ""), (TRACES, "  "), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert!(resolve(&["--otlp-endpoint", ""], &noise).expect("valid").is_none());
}

#[test]
fn first_that_is_set_wins() {
    let env = [(GENERAL, "http://general:1"), (TRACES, "http://traces:2")];
    assert_eq!(url(&["--otlp-endpoint", "http://flag:3"], &env), "http://flag:3/");
    assert_eq!(url(&[], &env), "http://traces:2/");
    assert_eq!(url(&[], &env[..1]), "http://general:1/");
    assert_eq!(url(&[], &[env[0], (TRACES, "")]), "http://general:1/");
}

#[test]
fn paths_follow_the_specification() {
    for (variable, given, used) in [
        (GENERAL, "http://h:4318", "http://h:4318/v1/traces"),
        (GENERAL, "http://h:4318/", "http://h:4318/v1/traces"),
        (GENERAL, "http://h:4318/base/", "http://h:4318/base/v1/traces"),
        (GENERAL, "http://h:4318/v1/traces", "http://h:4318/v1/traces/v1/traces"),
        (TRACES, "http://h:4318", "http://h:4318/"),
        (TRACES, "http://h:4318/mine", "http://h:4318/mine"),
        (GENERAL, "http://h:4317", "http://h:4317/"),
    ] {
        assert_eq!(url(&[], &[(variable, given)]), used, "{variable}");
    }
    for (given, used) in [
        ("http://h:4318", "http://h:4318/v1/traces"),
        ("http://h:4318/v1/traces", "http://h:4318/v1/traces"),
    ] {
        assert_eq!(url(&["--otlp-endpoint", given], &[]), used);
    }
}

#[test]
fn protocol_by_flag_variable_then_port() {
    use Protocol::{Grpc, HttpProtobuf};
    let at = |port: u16| format!("http://h:{port}");
    let protocol = |flags: &[&str], env: &[(&str, &str)]| config(flags, env).protocol;
    assert_eq!(protocol(&["--otlp-endpoint", &at(4317)], &[]), Grpc);
    assert_eq!(protocol(&["--otlp-endpoint", &at(9)], &[]), Grpc);
    assert_eq!(protocol(&["--otlp-endpoint", &at(4318)], &[]), HttpProtobuf);
    let variable = [("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/Protobuf")];
    assert_eq!(protocol(&["--otlp-endpoint", &at(4317)], &variable), HttpProtobuf);
    let both = [variable[0], ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")];
    assert_eq!(protocol(&["--otlp-endpoint", &at(4318)], &both), Grpc);
    let flag = ["--otlp-endpoint", &at(4317), "--otlp-protocol", "http/protobuf"];
    assert_eq!(protocol(&flag, &both), HttpProtobuf);
    let unknown = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    assert_eq!(protocol(&["--otlp-endpoint", &at(4317)], &unknown), Grpc);
}

#[test]
fn scheme_may_be_missing_for_grpc_only() {
    assert_eq!(url(&[], &[(GENERAL, "collector:4317")]), "https://collector:4317/");
    let insecure = [(GENERAL, "collector:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")];
    assert_eq!(url(&[], &insecure), "http://collector:4317/");
    let secure = [insecure[0], insecure[1], ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false")];
    assert_eq!(url(&[], &secure), "https://collector:4317/");
    assert_eq!(
        resolve(&[], &[(GENERAL, "collector:4318")]).expect_err("no scheme").to_string(),
        "cannot use OTLP endpoint \"collector:4318\": it has no scheme (http:// or https://); \
         give a URL like http://localhost:4317"
    );
}

#[test]
fn wrong_endpoints_say_what_to_do() {
    for wrong in ["ftp://h:1", "http://", "http://h:99999", "://", "http://h:0", "unix:///run/x"] {
        let error = resolve(&["--otlp-endpoint", wrong], &[]).expect_err(wrong).to_string();
        assert!(error.starts_with(&format!("cannot use OTLP endpoint {wrong:?}: ")), "{error}");
        assert!(error.ends_with("give a URL like http://localhost:4317"), "{error}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn host_and_port_are_known() {
    for (given, host, port) in [
        ("http://otel.example:4317", "otel.example", 4317),
        ("https://otel.example", "otel.example", 443),
        ("http://127.0.0.1:4317", "127.0.0.1", 4317),
        ("http://[::1]:4317/x", "::1", 4317),
    ] {
        let endpoint = config(&["--otlp-endpoint", given], &[]).endpoint;
        assert_eq!((endpoint.host().as_str(), endpoint.port()), (host, port));
    }
    let endpoint = config(&["--otlp-endpoint", "http://user:secret@h:1"], &[]).endpoint;
    assert_eq!(endpoint.to_string(), "http://h:1/");
}

#[test]
fn headers_merge_by_name() {
    let env = [
        (GENERAL, "http://h:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "general=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=env, b=x%20%3D%2Cy,broken,=no,c%=ok"),
        ("TRACEBEE_OTLP_HEADER", "b=twin,d=4"),
    ];
    let config = config(&["--otlp-header", "API-Key=a=b%20c"], &env);
    let headers: Vec<_> = config
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
        .collect();
    assert_eq!(headers, [("api-key", "a=b%20c"), ("b", "twin"), ("d", "4"), ("c%", "ok")]);
    assert!(!format!("{config:?}").contains("twin"), "values may be secrets");
}

#[test]
fn wrong_header_flags_are_errors_without_the_value() {
    for (flag, start) in [
        ("secret", "cannot use OTLP header \"\": it has no ="),
        ("a b=secret", "cannot use OTLP header \"a b\": the name"),
        ("a=secret\n", "cannot use OTLP header \"a\": the value"),
        ("a-bin=secret", "cannot use OTLP header \"a-bin\": names"),
    ] {
        let flags = ["--otlp-endpoint", "http://h:1", "--otlp-header", flag];
        let error = resolve(&flags, &[]).expect_err(flag).to_string();
        assert!(error.starts_with(start) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn numbers_and_their_defaults() {
    let endpoint = (GENERAL, "http://h:1");
    let default = config(&[], &[endpoint]);
    assert_eq!(default.timeout, Some(Duration::from_secs(10)));
    assert_eq!(default.schedule_delay, Duration::from_secs(1));
    assert_eq!(default.max_batch.get(), 512);
    assert_eq!(default.queue, Limit::default());
    assert_eq!(default.retry_budget, Duration::from_secs(300));
    assert!(!default.gzip);

    let set = config(
        &[],
        &[
            endpoint,
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "30000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ],
    );
    assert_eq!(set.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(set.schedule_delay, Duration::from_secs(5));
    assert_eq!(set.max_batch.get(), 100, "a batch fits into the queue");
    assert_eq!(set.queue, Limit::Spans(NonZeroUsize::new(100).expect("not zero")));
    assert_eq!(set.retry_budget, Duration::from_secs(30));
    assert!(set.gzip);

    let wrong = config(
        &["--otlp-compression", "none"],
        &[
            endpoint,
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ],
    );
    assert_eq!(wrong.timeout, None, "zero is no limit");
    assert_eq!(wrong.schedule_delay, default.schedule_delay);
    assert_eq!((wrong.queue, wrong.max_batch), (default.queue, default.max_batch));
    assert!(!wrong.gzip, "a flag beats a variable");
}

#[test]
fn certificates_are_read_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.into_os_string().into_string().expect("UTF-8")
    };
    let pair = rcgen::generate_simple_self_signed(["h".to_owned()]).expect("a certificate");
    let cert = file("cert.pem", &pair.cert.pem());
    let key = file("key.pem", &pair.signing_key.serialize_pem());
    let empty = file("empty.pem", "");
    let garbage = file("garbage.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----");

    let https = (GENERAL, "https://h:1");
    let all = [
        https,
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", cert.as_str()),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &cert),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &key),
    ];
    let tls = config(&[], &all).tls;
    assert!(tls.ca.is_some() && tls.identity.is_some());

    for path in ["/nonexistent/ca.pem", &empty, &garbage, &key] {
        let error = resolve(&["--otlp-ca", path], &all).expect_err(path).to_string();
        assert!(error.starts_with(&format!("cannot use CA certificates {path}: ")), "{error}");
    }
    let error = resolve(&["--otlp-key", &cert], &all).expect_err("not a key").to_string();
    assert!(error.starts_with(&format!("cannot use client key {cert}: ")), "{error}");
    let half = resolve(&["--otlp-cert", &cert], &[https]);
    assert_eq!(half.expect_err("no key"), ConfigError::HalfIdentity { missing: "--otlp-key" });
    let plain = [(GENERAL, "http://h:1"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", &cert)];
    assert!(config(&[], &plain).tls.ca.is_none());
}

#[test]
fn help_hides_the_unset_value() {
    use clap::CommandFactory;
    let help = Cli::command().render_help().to_string();
    assert!(help.contains("[possible values: grpc, http/protobuf]"), "{help}");
}
