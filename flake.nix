{
  description = "Integration tests over containers and VMs, driven by a Python script";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      # What `nix/` has, on each of them.
      on = nixpkgs.lib.genAttrs systems (
        system: import ./nix { pkgs = nixpkgs.legacyPackages.${system}; }
      );
      eachSystem = value: nixpkgs.lib.genAttrs systems (system: value system on.${system});
      inherit (import ./nix { }) nixosModules overlay testModule;
    in
    {
      packages = eachSystem (
        _system: tandem: {
          default = tandem.package;
          tandem = tandem.package;
          # The names that test scripts use, with their types.
          test-driver = tandem.package.pythonPackage;
        }
      );

      overlays.default = overlay;

      nixosModules = nixosModules // {
        default = nixosModules.builder;
      };

      lib = {
        # Makes a derivation of a test: `tandem.lib.mkTest.x86_64-linux { name = "hello"; … }`.
        mkTest = eachSystem (_system: tandem: tandem.mkTest);
        # A module for nixpkgs' test framework, of which `imports` of a test can have it.
        inherit testModule;
      };

      # Those that boot machines need a builder that `nixosModules.builder` has set up.
      checks = eachSystem (
        system: tandem:
        import ./nix/checks.nix {
          inherit nixpkgs system;
          inherit (tandem) package mkTest;
          profile = nixosModules.container;
        }
      );

      devShells = eachSystem (
        system: tandem: {
          default = import ./nix/shell.nix {
            pkgs = nixpkgs.legacyPackages.${system};
            inherit (tandem) package;
          };
        }
      );
    };
}
