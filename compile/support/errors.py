"""The errors that are a user's to mend.

Library code raises one of these with a sentence that names the file or the value and the remedy;
only the command lines catch them (:func:`compile.support.cli.run_command`), print the sentence and
exit with code 2. Anything else that escapes is a bug of ours and keeps its traceback.
"""


class MqnetError(Exception):
    """Base of every error that a user can mend; its text is one sentence without a traceback."""


class PhotoError(MqnetError):
    """A photograph that is missing, truncated, of an unknown format or too small."""


class ClipError(MqnetError):
    """A clip that is missing, damaged, HDR already or without moving pictures."""


class DataError(MqnetError):
    """Training data that cannot be fetched or read, or a folder without any."""


class CheckpointError(MqnetError):
    """A checkpoint that is missing, damaged or of another architecture."""


class GraphError(MqnetError):
    """A traced network that the compiler cannot take: an unknown op, no precision boundary."""


class TargetError(MqnetError):
    """An unknown target, a target file with a mistake, or no linker that serves it."""


class ArtefactError(MqnetError):
    """A build directory that is incomplete, damaged or made for another machine."""


class OutputError(MqnetError):
    """A result that cannot be written: a full disk, an unknown file ending, a missing folder."""
