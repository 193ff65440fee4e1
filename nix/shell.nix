# A shell to work on Tandem in: what builds it, what checks it, and what its tests run. `make test` needs root and Debian's mmdebstrap, too.
{ pkgs, package }:

pkgs.mkShell {
  inputsFrom = [ package.unwrapped ];
  packages = [
    pkgs.cargo
    pkgs.clippy
    pkgs.nixfmt
    pkgs.ruff
    pkgs.rustc
    pkgs.rustfmt
    (pkgs.python3.withPackages (ps: [
      ps.mypy
      ps.ptpython
    ]))
  ]
  ++ package.programs;
}
