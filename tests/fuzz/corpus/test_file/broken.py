# /// script
# [tool.tandem
# ///
