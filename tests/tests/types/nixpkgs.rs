//! The prelude as nixpkgs uses it: its text, declarations and the script are one file, which mypy checks with nixpkgs' flags.

use std::path::Path;
use std::process::{Command, Output};

use tandem_tests::TestResult;

use crate::{at, interpreters};

fn concatenated(python: &Path, script: &str) -> TestResult<Output> {
    let directory = tempfile::tempdir()?;
    let prelude = std::fs::read_to_string(at("../driver-cli/python/test-script-prepend.py"))?;
    let declarations = "server: NspawnMachine;\nclient: QemuMachine;\nvlan1: VLan;\n";
    let file = directory.path().join("testScriptWithTypes");
    std::fs::write(&file, format!("{prelude}{declarations}{}", std::fs::read_to_string(at(script))?))?;
    let mut mypy = Command::new(python);
    mypy.args(["-m", "mypy", "--no-implicit-optional", "--pretty", "--no-color-output"]).arg(&file);
    mypy.env("MYPYPATH", at("../driver-cli/python")).current_dir(directory.path());
    Ok(mypy.output()?)
}

#[test]
fn the_prelude_serves_nixpkgs() -> TestResult {
    for python in interpreters() {
        let good = concatenated(&python, "tests/types/good.py")?;
        let said = String::from_utf8_lossy(&good.stdout);
        // nixpkgs has the package installed, where no checker looks for faults of its own.
        assert!(good.stderr.is_empty() && !said.contains("testScriptWithTypes:"), "{said}");
        let wrong = concatenated(&python, "tests/types/wrong.py")?;
        let said = String::from_utf8_lossy(&wrong.stdout);
        assert_eq!(wrong.status.code(), Some(1));
        assert!(
            said.contains("testScriptWithTypes:") && said.contains("\"NspawnMachine\" has no attribute \"succeeds\""),
            "{said}"
        );
    }
    Ok(())
}

/// The package says that it is typed, or checkers would not look into it where it is installed.
#[test]
fn the_package_can_be_installed() -> TestResult {
    for python in interpreters() {
        let directory = tempfile::tempdir()?;
        let site = directory.path().join("site-packages");
        let source = directory.path().join("python");
        // Building writes beside the sources.
        let copied = Command::new("cp").arg("-r").arg(at("../driver-cli/python")).arg(&source).status()?;
        assert!(copied.success());
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"]);
        let Ok(output) = pip.arg(&site).arg(&source).output() else { continue };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // An interpreter of a distribution need not have them.
        if said.contains("No module named pip") || said.contains("setuptools") {
            continue;
        }
        assert!(output.status.success(), "{said}");
        for file in ["test_driver/py.typed", "test_driver/prelude.py", "test_driver/machine/qmp.py"] {
            assert!(site.join(file).exists(), "{file}");
        }
    }
    Ok(())
}
