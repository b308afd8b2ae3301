"""Names of the rules that no medical text should meet.

Belongs here: the list.
Does not belong here: texts that meet them.
"""

RESIDUE = (
    "placeholder",
    "mojibake_left",
    "error_message",
    "chat_tokens",
    "chat_headings",
    "repetition",
    "copied_field",
    "refusal",
    "replacement_characters",
    "html",
    "literal_escapes",
    "traditional_characters",
)
