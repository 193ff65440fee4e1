//! What is installed: the commands of package.nix, run on a real program.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tandem_tests::{TestResult, requirement};
use tempfile::TempDir;

use crate::nix::Nix;
use crate::source::files;

/// The program that is installed.
const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// Where the Python package goes.
const SITE: &str = "lib/python3.11/site-packages";

/// The programs of the packages that package.nix takes from nixpkgs, as this host has them.
const PROGRAMS: [(&str, &[&str]); 12] = [
    ("coreutils", &["sleep"]),
    ("gnutar", &["tar"]),
    ("gzip", &["gzip"]),
    ("bzip2", &["bzip2"]),
    ("xz", &["xz"]),
    ("zstd", &["zstd"]),
    ("socat", &["socat"]),
    ("systemd", &["systemd-nspawn"]),
    ("qemu_test", &["qemu-system-x86_64", "qemu-system-aarch64", "qemu-img"]),
    ("e2fsprogs", &["mke2fs"]),
    ("tesseract", &["tesseract"]),
    ("imagemagick", &["magick", "convert"]),
];

/// Everything as it would lie in the store.
struct Installed {
    store: TempDir,
    package: PathBuf,
    program: PathBuf,
    python: PathBuf,
}

fn install(nix: &Nix) -> TestResult<Installed> {
    let store = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
    let at = |name: &str| store.path().join(name);
    let expression = format!(
        "let package = (stub {{ store = {:?}; }}).callPackage /project/nix/package.nix {{ enableOCR = true; }};
         in {{
           inherit (package.unwrapped.arguments) postInstall;
           inherit (package.pythonPackage.arguments) src installPhase;
           inherit (package.arguments) name postBuild;
           paths = map toString package.arguments.paths;
         }}",
        store.path()
    );
    let evaluated = nix.evaluate(&[], &expression)?;
    let text = |name: &str| evaluated.value[name].as_str().ok_or("package.nix lacks a text");

    let program = at("tandem-unwrapped");
    // As nixpkgs' own hook installs what cargo built.
    fs::create_dir_all(program.join("bin"))?;
    symlink(TANDEM, program.join("bin/tandem"))?;
    let work = tempfile::tempdir()?;
    stage(work.path(), &program, text("postInstall")?)?;

    let python = at("tandem-test-driver");
    stage(&evaluated.place(text("src")?), &python, text("installPhase")?)?;

    for (package, programs) in PROGRAMS {
        let bin = at(package).join("bin");
        fs::create_dir_all(&bin)?;
        for program in programs {
            if let Some(found) = find(program) {
                symlink(found, bin.join(program))?;
            }
        }
    }
    // Itself, and not a script that chooses one of several.
    let itself = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output()?;
    fs::create_dir_all(at("python3-env/bin"))?;
    symlink(String::from_utf8(itself.stdout)?.trim(), at("python3-env/bin/python3"))?;
    // This host has it where it is found without a `PATH`, too. That one is not meant.
    let virtiofsd = find("virtiofsd").map(|program| program.display().to_string()).unwrap_or_default();
    let script = format!(": >{} && exec {virtiofsd} \"$@\"", at("virtiofsd-ran").display());
    fs::create_dir_all(at("virtiofsd/bin"))?;
    stage(
        store.path(),
        &at("virtiofsd/bin/virtiofsd"),
        &format!("echo '#!/bin/bash\n{script}' >$out && chmod +x $out"),
    )?;
    // As symlinkJoin does before it runs its commands.
    let package = at(text("name")?);
    for path in evaluated.value["paths"].as_array().into_iter().flatten().filter_map(|path| path.as_str()) {
        for file in files(Path::new(path))? {
            fs::create_dir_all(package.join(&file).parent().ok_or("a file lies nowhere")?)?;
            symlink(Path::new(path).join(&file), package.join(&file))?;
        }
    }
    stage(work.path(), &package, text("postBuild")?)?;
    Ok(Installed { store, package, program, python })
}

/// Where this host has a program. virtiofsd is in no `PATH` of Debian's.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = ["/usr/sbin", "/sbin", "/usr/libexec", "/usr/lib/qemu"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(places);
    places.find_map(|place| Some(place.join(program)).filter(|file| file.is_file()))
}

/// Runs commands as nixpkgs' stdenv does, with what hooks they call.
fn stage(directory: &Path, out: &Path, commands: &str) -> TestResult {
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{}\n{commands}", include_str!("stdenv.sh"))]).env("out", out).current_dir(directory);
    let output = bash.stdin(Stdio::null()).output()?;
    if output.status.success() { Ok(()) } else { Err(said(&output).into()) }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

impl Installed {
    /// A program of the package in an environment that has nothing, as with `PATH` in a build without any.
    fn command(&self, program: &str, directory: &Path) -> Command {
        let mut command = Command::new(self.package.join("bin").join(program));
        command.env_clear().env("PATH", "/nowhere").current_dir(directory).stdin(Stdio::null());
        command
    }
}

#[test]
fn files_are_where_programs_look_for_them() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let installed = install(&nix)?;
    let mut expected: Vec<String> =
        ["generate-driver-symbols", "nixos-test-driver", "tandem"].map(|name| format!("bin/{name}")).into();
    expected.extend(
        ["bash-completion/completions/tandem.bash", "fish/vendor_completions.d/tandem.fish"]
            .map(|name| format!("share/{name}")),
    );
    let commands = commands()?;
    expected.extend(commands.iter().map(|command| format!("share/man/man1/tandem-{command}.1")));
    expected.extend(["tandem.1"].map(|name| format!("share/man/man1/{name}")));
    expected.push("share/zsh/site-functions/_tandem".into());
    expected.sort();
    assert_eq!(files(&installed.program)?.into_iter().collect::<Vec<_>>(), expected);
    for name in ["generate-driver-symbols", "nixos-test-driver"] {
        assert_eq!(fs::read_link(installed.program.join("bin").join(name))?, Path::new("tandem"));
    }
    // The package is both.
    let mut both = files(&installed.program)?;
    both.extend(files(&installed.python)?);
    assert_eq!(files(&installed.package)?, both);
    Ok(())
}

/// The commands that have a page, by what the program says of `man`.
fn commands() -> TestResult<Vec<String>> {
    let output = Command::new(TANDEM).args(["man", "--help"]).output()?;
    let text = String::from_utf8(output.stdout)?.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, values) = text.split_once("[possible values: ").ok_or("no commands")?;
    let (values, _) = values.split_once(']').ok_or("no commands")?;
    Ok(values.split(", ").map(str::to_owned).collect())
}

#[test]
fn pages_are_in_order() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let installed = install(&nix)?;
    let directory = installed.package.join("share/man/man1");
    let pages = files(&directory)?;
    assert_eq!(pages.len(), commands()?.len() + 1);
    for page in pages {
        let text = fs::read_to_string(directory.join(&page))?;
        let name = page.trim_end_matches(".1");
        assert!(text.contains(&format!("\n.TH {name} 1 ")) && text.contains("\n.SH NAME\n"), "{page}: {text}");
        if requirement::program("groff") {
            let output =
                Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(directory.join(&page)).output()?;
            assert!(output.status.success() && output.stderr.is_empty(), "{page}: {}", said(&output));
            assert!(said(&output).contains("\nSYNOPSIS\n"), "{page}: {}", said(&output));
        }
    }
    Ok(())
}

#[test]
fn completions_complete() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let installed = install(&nix)?;
    let share = installed.package.join("share");
    let script = format!(
        ". {}/bash-completion/completions/tandem.bash
         COMP_WORDS=(tandem che) COMP_CWORD=1
         _tandem tandem che tandem; echo \"${{COMPREPLY[*]}}\"",
        share.display()
    );
    let output = Command::new("bash").args(["-ec", &script]).output()?;
    assert_eq!(said(&output), "check\n");
    assert!(fs::read_to_string(share.join("zsh/site-functions/_tandem"))?.starts_with("#compdef tandem\n"));
    assert!(fs::read_to_string(share.join("fish/vendor_completions.d/tandem.fish"))?.contains("complete -c tandem"));
    Ok(())
}

#[test]
fn each_name_starts_its_program() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let installed = install(&nix)?;
    let directory = tempfile::tempdir()?;
    let version = installed.command("tandem", directory.path()).arg("--version").output()?;
    assert_eq!(said(&version), format!("tandem {}\n", env!("CARGO_PKG_VERSION")));
    let usage = installed.command("nixos-test-driver", directory.path()).arg("--help").output()?;
    assert!(said(&usage).contains("Usage: nixos-test-driver"), "{}", said(&usage));
    let symbols = installed.command("generate-driver-symbols", directory.path()).output()?;
    assert!(symbols.status.success(), "{}", said(&symbols));
    let symbols = fs::read_to_string(directory.path().join("driver-symbols"))?;
    assert!(symbols.split(',').any(|name| name == "start_all"), "{symbols}");

    // nixpkgs makes a link to the driver for each test, moves that aside and puts a wrapper in its place, which passes on its own name.
    let bin = directory.path();
    let (driver, aside) = (bin.join("nixos-test-driver"), bin.join(".nixos-test-driver-wrapped"));
    symlink(installed.package.join("bin/nixos-test-driver"), &aside)?;
    fs::write(&driver, format!("#!/bin/bash\nexec -a \"$0\" {} --log-level info \"$@\"\n", aside.display()))?;
    let usage = Command::new("bash").arg(&driver).arg("--help").output()?;
    assert!(said(&usage).contains("Usage: nixos-test-driver"), "{}", said(&usage));
    Ok(())
}

#[test]
fn the_python_package_has_its_types() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let installed = install(&nix)?;
    let site = installed.package.join(SITE);
    let python = |arguments: &[&str]| {
        Command::new("/usr/bin/python3")
            .args(arguments)
            .env("PYTHONPATH", &site)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
    };
    let output = python(&["-c", "import test_driver.machine as it; print(it.__file__)"])?;
    assert_eq!(said(&output), format!("{}\n", site.join("test_driver/machine/__init__.py").display()));

    let mypy = python(&["-m", "mypy", "--version"])?;
    if !requirement::met((!mypy.status.success()).then(|| "/usr/bin/python3 has no mypy".into())) {
        return Ok(());
    }
    // As nixpkgs checks the script of a test.
    let prelude = include_str!("../../../driver-cli/python/test-script-prepend.py");
    let directory = tempfile::tempdir()?;
    let script = directory.path().join("script.py");
    let check = |text: &str| -> TestResult<String> {
        fs::write(&script, format!("{prelude}\nserver: NspawnMachine\n{text}\n"))?;
        let script = script.to_str().ok_or("a path is no text")?;
        Ok(said(&python(&["-m", "mypy", "--no-implicit-optional", "--cache-dir=/dev/null", script])?))
    };
    let right = check("status, out = server.execute('true')\nstatus + 1\nout.strip()")?;
    assert!(right.contains("Success: no issues found"), "{right}");
    let wrong = check("server.succeed('true').bit_length()")?;
    assert!(wrong.contains("\"str\" has no attribute \"bit_length\""), "{wrong}");
    Ok(())
}

/// All that a container and a VM need is on the `PATH` that the package makes.
#[test]
fn no_program_is_missing() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let installed = install(&nix)?;
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("both.py"), include_str!("both.py"))?;
    let run = |arguments: &[&str]| {
        let mut command = installed.command("tandem", directory.path());
        command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
        command.envs(std::env::var_os("XDG_CACHE_HOME").map(|cache| ("XDG_CACHE_HOME", cache)));
        command.args(arguments).output()
    };
    let checked = run(&["check", "both.py"])?;
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    let ran = run(&["run", "--global-timeout=4m", "both.py"])?;
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));

    assert!(installed.store.path().join("virtiofsd-ran").exists(), "virtiofsd is not that of the package");

    // Without a package, what needs it says so. systemd-nspawn and virtiofsd are found elsewhere, too, and tar only unpacks roots.
    let needed = BTreeMap::from([
        ("qemu_test", "is not on the PATH"),
        ("e2fsprogs", "mke2fs: it is not on the PATH"),
        ("python3-env", "there is no such program"),
    ]);
    for (package, told) in needed {
        let bin = installed.store.path().join(package).join("bin");
        let aside = bin.with_extension("aside");
        fs::rename(&bin, &aside)?;
        let checked = run(&["check", "both.py"])?;
        fs::rename(&aside, &bin)?;
        assert!(!checked.status.success() && said(&checked).contains(told), "{package}: {}", said(&checked));
    }
    Ok(())
}
