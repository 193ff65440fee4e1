//! What is found out before a script runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use driver_cli::script::{Interpreter, check};
use driver_core::spec::Whose;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_script_has_no_problems() {
    let stage = Stage::new(&["server"]);
    stage.write("raise SystemExit('must not run')\n");
    assert_eq!(check(&stage.spec(), None).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_told_with_its_line() {
    let stage = Stage::new(&[]);
    stage.write("start_all()\nif True:\n    with subtest('x')\n        pass\n");
    let [problem] = &check(&stage.spec(), None).await[..] else { panic!() };
    assert_eq!(problem.whose, Whose::User);
    assert_eq!(problem.subject, format!("{}:3", stage.script_path().display()));
    assert_eq!(problem.message, "expected ':'\n    with subtest('x')\n                     ^");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_come_at_once() {
    let stage = Stage::new(&[]);
    stage.write("def\n");
    let mut spec = stage.spec();
    spec.requires_python = Some(">=3.99".into());
    spec.dependencies = vec!["surely-not-installed>=2".into()];
    let problems = check(&spec, None).await;
    let told: Vec<_> = problems.iter().map(|problem| (problem.whose, problem.to_string())).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[1].1.contains(">=3.99") && told[1].1.contains("--python"), "{told:#?}");
    assert!(told[2].1.starts_with("dependency `surely-not-installed>=2`: not installed"), "{told:#?}");
    assert!(told[2].1.contains("--python"));
    assert_eq!([told[0].0, told[1].0, told[2].0], [Whose::User, Whose::Host, Whose::Host]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_cannot_be_read_is_a_problem() {
    let stage = Stage::new(&[]);
    assert!(check(&stage.spec(), None).await[0].to_string().contains("No such file"));
    std::fs::write(stage.script_path(), b"a = '\xff'\n").unwrap();
    assert!(check(&stage.spec(), None).await[0].to_string().contains("utf-8"));
    std::fs::write(stage.script_path(), b"a = 1\0\n").unwrap();
    assert!(check(&stage.spec(), None).await[0].to_string().contains("null"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_interpreter_is_a_problem() {
    let stage = Stage::new(&[]);
    stage.write("pass\n");
    let told = async |python: &Path| {
        let problems = check(&stage.spec(), Some(python)).await;
        assert_eq!((problems.len(), problems[0].whose), (1, Whose::User));
        problems[0].to_string()
    };
    let cure = "; name a Python of at least version 3.11 with --python";
    let missing = told(Path::new("/no/such/python")).await;
    assert_eq!(missing, format!("interpreter `/no/such/python`: there is no such program{cure}"));
    let other = told(Path::new("true")).await;
    assert_eq!(other, format!("interpreter `true`: it ended at once with exit status: 0{cure}"));

    let old = stage.path().join("python3.9");
    std::fs::write(&old, "#!/bin/sh\necho 'it is Python 3.9' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o755)).unwrap();
    let told = told(&old).await;
    assert!(told.ends_with(&format!(": it is Python 3.9{cure}")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_may_not_go_ends() {
    let stage = Stage::new(&[]);
    stage.write("open('ran', 'w')\n");
    let mut interpreter = Interpreter::start(stage.options()).await.unwrap();
    assert_eq!(interpreter.problems().await, []);
    drop(interpreter);
    assert!(!stage.path().join("ran").exists() && !Path::new("ran").exists());
}
