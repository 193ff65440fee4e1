# What a mistyped word was meant to be: `nearest WORD KNOWN` is one of KNOWN, or null. The rule is that of the driver for test files; case
# does not matter.
let
  inherit (builtins)
    elemAt
    filter
    foldl'
    genList
    head
    length
    sort
    stringLength
    substring
    ;

  min = a: b: if a < b then a else b;
  max = a: b: if a > b then a else b;
  letters = characters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  lower = builtins.replaceStrings letters (characters "abcdefghijklmnopqrstuvwxyz");
  characters = text: genList (at: substring at 1 text) (stringLength text);

  # Optimal string alignment: how many letters must be added, taken out, changed or swapped with the next.
  distance =
    one: other:
    let
      a = characters (lower one);
      b = characters (lower other);
      # From the distances of the first `i` letters of `one` to each beginning of `other` to those of one letter more.
      step =
        { before, last }:
        i:
        {
          before = last;
          last = foldl' (
            cells: j:
            let
              changed = elemAt last j + (if elemAt a i == elemAt b j then 0 else 1);
              best = min changed (1 + min (elemAt last (j + 1)) (elemAt cells j));
              swapped = i > 0 && j > 0 && elemAt a i == elemAt b (j - 1) && elemAt a (i - 1) == elemAt b j;
            in
            cells ++ [ (if swapped then min best (1 + elemAt before (j - 1)) else best) ]
          ) [ (i + 1) ] (genList (j: j) (length b));
        };
      rows = foldl' step {
        before = [ ];
        last = genList (j: j) (length b + 1);
      } (genList (i: i) (length a));
    in
    elemAt rows.last (length b);
in
word: known:
let
  # One slip in three letters is a typing error; more is another word.
  near = filter ({ slips, candidate }: slips <= max 1 (max (stringLength word) (stringLength candidate) / 3)) (
    map (candidate: {
      inherit candidate;
      slips = distance word candidate;
    }) known
  );
in
if near == [ ] then null else (head (sort (a: b: a.slips < b.slips || (a.slips == b.slips && a.candidate < b.candidate)) near)).candidate
