# What is built, out of all that lies in the project: a change of a document or of a test rebuilds nothing.
let
  inherit (builtins)
    any
    concatMap
    filter
    fromTOML
    match
    path
    readFile
    stringLength
    substring
    ;

  root = ../.;
  members = (fromTOML (readFile ../Cargo.toml)).workspace.members;
  crates = filter (member: member != "tests") members;

  isBelow =
    directory: file: substring 0 (stringLength directory + 1) file == "${directory}/";

  # The files of `kept` and of the directories in it, as a store path.
  only =
    name: kept:
    path {
      inherit name;
      path = root;
      filter =
        file: _type:
        let
          relative = substring (stringLength (toString root) + 1) (-1) file;
          isKept = place: relative == place || isBelow place relative || isBelow relative place;
        in
        # Python leaves these beside what it runs.
        any isKept kept && match ".*/(__pycache__|\\.[a-z]+_cache)" file == null;
    };
in
{
  # The Cargo workspace. Of `tests`, Cargo wants to see the manifest, because it is a member.
  workspace = only "tandem-source" (
    [
      "Cargo.toml"
      "Cargo.lock"
      "driver-cli/python/test-script-prepend.py"
      "driver-cli/python/test_driver"
      "nix/nix.conf"
    ]
    ++ map (member: "${member}/Cargo.toml") members
    ++ concatMap (
      crate:
      map (part: "${crate}/${part}") [
        "build.rs"
        "init"
        "src"
      ]
    ) crates
  );

  # The Python package.
  python = only "tandem-test-driver-source" [ "driver-cli/python/test_driver" ];
}
