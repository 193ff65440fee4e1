# What is left of a test.
{ evaluate, lib }:
let
  inherit (evaluate)
    both
    case
    current
    features
    isIn
    older
    vm
    ;

  reportCommand = (current both).passthru.report.attributes.buildCommand;
in
{
  report = {
    name = case (current both).passthru.report.name "vm-test-run-some-test-report";
    features = case (current both).passthru.report.requiredSystemFeatures (features (current both));
    runsTheTest = case (isIn reportCommand (current both).rawTestDerivation.attributes.buildCommand) true;
    record = case (isIn reportCommand "export TANDEM_RECORD=$out\n") true;
    checkedTakesIt = case (current both).passthru.checked.attributes.report (current both).passthru.report;
    checkedAsksForNothing = case (current both).passthru.checked.requiredSystemFeatures [ ];
    ofTheTest = case (current both).test.report.name "vm-test-run-some-test-report";
    older = case (older vm).passthru.report.requiredSystemFeatures [
      "nixos-test"
      "kvm"
    ];
  };
}
