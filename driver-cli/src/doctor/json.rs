//! What was found, for programs.

use driver_core::need::{Need, Place};
use serde::Serialize;

use super::{Diagnosis, Kind};

/// The version of this form: it changes when a field goes or means something else, and not when one is added.
const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    version: u32,
    /// Where this process is.
    place: Place,
    needs: &'a [Need],
    /// Without tests: whether each backend's machines can run here.
    backends: Vec<Run<'a>>,
    /// Whether each test can run here.
    tests: Vec<Run<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Run<'a> {
    name: &'a str,
    runs: bool,
}

/// One JSON document.
pub(super) fn write(diagnosis: &Diagnosis) -> String {
    let runs = |kind| {
        let of_kind = diagnosis.can.iter().filter(move |can| can.kind == kind);
        of_kind.map(|can| Run { name: &can.name, runs: can.run }).collect()
    };
    let document = Document {
        version: VERSION,
        place: diagnosis.place,
        needs: &diagnosis.needs,
        backends: runs(Kind::Backend),
        tests: runs(Kind::Test),
    };
    // Nothing in it can fail to be written.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text + "\n"
}

#[cfg(test)]
mod tests {
    use driver_core::need::{Cure, Where};
    use serde_json::json;

    use super::*;
    use crate::doctor::Can;

    #[test]
    fn the_form_is_that_of_the_manual() {
        let cure = Cure::new("install it").line(Where::NixOs, "pkgs.qemu");
        let diagnosis = Diagnosis {
            place: Place::NixBuild,
            needs: vec![Need::missing("VMs", "QEMU", "to run", "none", cure)],
            can: vec![
                Can { kind: Kind::Backend, name: "vm".into(), run: false },
                Can { kind: Kind::Test, name: "a.py".into(), run: true },
            ],
        };
        let written: serde_json::Value = serde_json::from_str(&write(&diagnosis)).unwrap();
        let expected = json!({
            "version": 1,
            "place": "nix-build",
            "needs": [{
                "group": "VMs", "name": "QEMU", "purpose": "to run", "found": "none", "verdict": "missing",
                "cure": {"advice": "install it", "lines": [{"where": "nixos", "lines": ["pkgs.qemu"]}]},
            }],
            "backends": [{"name": "vm", "runs": false}],
            "tests": [{"name": "a.py", "runs": true}],
        });
        assert_eq!(written, expected);
    }
}
