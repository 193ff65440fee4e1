# What is left of a test, whatever its verdict: `report` and `checked` beside the test itself.
{
  config,
  hostPkgs,
  lib,
  options,
  ...
}:
let
  tooOld = "`report` and `checked` need a nixpkgs of May 2025 or later";

  # The framework's own build, but that its status is written down. A condition around it would have it go on after errors.
  report =
    lib.throwIfNot (options ? rawTestDerivation) tooOld
      config.rawTestDerivation.overrideAttrs
      (previous: {
        name = "${previous.name}-report";
        buildCommand = ''
          mkdir -p $out
          export TANDEM_RECORD=$out
          set +e
          (
            set -e
            ${previous.buildCommand}
          ) 2>&1 | tee $out/driver.log
          status=''${PIPESTATUS[0]}
          set -e
          echo $status > $out/driver.status
        '';
      });

  checked =
    hostPkgs.runCommand "vm-test-run-${config.name}-checked"
      {
        inherit report;
        inherit (config) passthru meta;
      }
      ''
        status=$(cat $report/driver.status)
        if [ "$status" != 0 ]; then
          tail --lines=100 $report/driver.log >&2
          echo "the test ended with status $status; its report is $report" >&2
          exit 1
        fi
        ln -s $report $out
      '';
in
{
  config.passthru = { inherit report checked; };
}
