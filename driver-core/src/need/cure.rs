//! What to do about something that a host lacks: a sentence, and the exact lines for this or that place.

use std::fmt::{self, Display};

use serde::Serialize;

use super::Place;

/// The longest name of a place that stands beside its line.
const SHORT: usize = 7;

/// What to do; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cure {
    /// A sentence without its full stop.
    pub advice: String,
    /// What to write, for each place that differs.
    pub lines: Vec<Lines>,
}

/// Lines to be written or run, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lines {
    /// Where they belong.
    pub r#where: Where,
    /// The lines.
    pub lines: Vec<String>,
}

/// Where lines belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Where {
    /// A root shell of any distribution.
    Shell,
    /// A root shell of Debian or Ubuntu.
    Debian,
    /// A root shell of Fedora.
    Fedora,
    /// `configuration.nix` of NixOS.
    #[serde(rename = "nixos")]
    NixOs,
    /// `/etc/nix/nix.conf` where the system is not NixOS.
    NixConf,
    /// A Nix expression of a derivation.
    Derivation,
    /// What the boot loader hands to the kernel.
    KernelCommandLine,
}

impl Where {
    /// What people know the place by.
    pub fn label(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Debian => "Debian",
            Self::Fedora => "Fedora",
            Self::NixOs => "NixOS",
            Self::NixConf => "/etc/nix/nix.conf",
            Self::Derivation => "derivation",
            Self::KernelCommandLine => "kernel command line",
        }
    }
}

impl Cure {
    /// A sentence without exact lines.
    pub fn new(advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), lines: Vec::new() }
    }

    /// The packages by which distributions bring something.
    pub fn package(debian: &str, fedora: &str, nixos: &str) -> Self {
        Self::package_in(Place::current(), debian, fedora, nixos)
    }

    fn package_in(place: Place, debian: &str, fedora: &str, nixos: &str) -> Self {
        if place == Place::NixBuild {
            let line = format!("PATH = \"${{pkgs.{nixos}}}/bin\";");
            return Self::new("give it to the derivation, in its PATH").line(Where::Derivation, line);
        }
        Self::new("install it")
            .line(Where::Debian, format!("apt-get install {debian}"))
            .line(Where::Fedora, format!("dnf install {fedora}"))
            .line(Where::NixOs, format!("environment.systemPackages = [ pkgs.{nixos} ];"))
    }

    /// A module that the kernel has and has not loaded.
    pub fn module(advice: impl Into<String>, module: &str) -> Self {
        Self::new(advice)
            .line(Where::Shell, format!("modprobe {module}"))
            .line(Where::NixOs, format!("boot.kernelModules = [ \"{module}\" ];"))
    }

    /// Another value of a sysctl.
    pub fn sysctl(advice: impl Into<String>, name: &str, value: u64) -> Self {
        Self::new(advice)
            .line(Where::Shell, format!("sysctl {name}={value}"))
            .line(Where::NixOs, format!("boot.kernel.sysctl.\"{name}\" = {value};"))
    }

    /// Adds a line.
    #[must_use]
    pub fn line(self, place: Where, line: impl Into<String>) -> Self {
        self.lines(place, [line.into()])
    }

    /// Adds the lines of a text.
    #[must_use]
    pub fn text(self, place: Where, text: &str) -> Self {
        self.lines(place, text.trim_end().lines().map(str::to_owned))
    }

    fn lines(mut self, place: Where, lines: impl IntoIterator<Item = String>) -> Self {
        self.lines.push(Lines { r#where: place, lines: lines.into_iter().collect() });
        self
    }
}

impl Display for Cure {
    /// The sentence, then a line for each that is to be written: two spaces, where, what. Several lines of a place stand below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advice)?;
        for Lines { r#where, lines } in &self.lines {
            let label = r#where.label();
            match lines.as_slice() {
                [line] if label.len() <= SHORT => write!(f, "\n  {label:<SHORT$} {line}")?,
                lines => {
                    write!(f, "\n  {label}")?;
                    lines.iter().try_for_each(|line| match line.as_str() {
                        "" => f.write_str("\n"),
                        line => write!(f, "\n    {line}"),
                    })?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_lines_stand_below_the_advice() {
        let cure =
            Cure::package_in(Place::Host, "qemu-system", "qemu-kvm", "qemu").text(Where::NixConf, "a = b\nc = d\n");
        let told = "install it\n  Debian  apt-get install qemu-system\n  Fedora  dnf install qemu-kvm\n  NixOS   \
                    environment.systemPackages = [ pkgs.qemu ];\n  /etc/nix/nix.conf\n    a = b\n    c = d";
        assert_eq!(cure.to_string(), told);
        assert_eq!(Cure::default().to_string(), "");
    }

    #[test]
    fn a_build_is_told_of_its_derivation() {
        let told = Cure::package_in(Place::NixBuild, "x", "y", "qemu").to_string();
        assert_eq!(told, "give it to the derivation, in its PATH\n  derivation\n    PATH = \"${pkgs.qemu}/bin\";");
    }

    #[test]
    fn sysctls_are_quoted_for_nixos() {
        let told = Cure::sysctl("raise it", "kernel.pty.max", 9000).to_string();
        assert!(told.ends_with("sysctl kernel.pty.max=9000\n  NixOS   boot.kernel.sysctl.\"kernel.pty.max\" = 9000;"));
    }
}
