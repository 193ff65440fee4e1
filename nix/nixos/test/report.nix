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
          ) 2>&1 | tee terminal.log
          status=''${PIPESTATUS[0]}
          set -e
          # Nothing was started. That shall be tried anew after a cure.
          if [ $status != 0 ] && [ ! -e $out/events.jsonl ]; then
            exit $status
          fi
          # The store holds nothing else.
          find $out ! -type d ! -type f ! -type l -exec echo "tandem: left out, for the store cannot hold it:" {} \; -exec rm {} \;
          for file in status terminal.log; do
            [ ! -e $out/$file ] || mv $out/$file $out/$file.of-script
          done
          mv terminal.log $out/
          echo $status > $out/status
        '';
      });

  checked =
    hostPkgs.runCommand "vm-test-run-${config.name}-checked"
      {
        inherit report;
        preferLocalBuild = true;
        inherit (config) passthru meta;
      }
      ''
        status=$(cat $report/status)
        if [ "$status" != 0 ]; then
          tail -n 40 $report/terminal.log >&2
          echo "the test did not pass: status $status; its record is in $report" >&2
          exit 1
        fi
        ln -s $report $out
      '';
in
{
  config.passthru = { inherit report checked; };
}
