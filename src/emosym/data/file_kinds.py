"""Which files are pictures by their names, which are junk, and what is said of the others."""

from __future__ import annotations

from emosym.extras import install_command, is_available

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".psd",
        ".avif",
        ".avifs",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
        ".qoi",
        ".sgi",
        ".pcx",
        ".tga",
    ]
)
HEIC_SUFFIXES = frozenset((".heic", ".heics", ".heif", ".heifs", ".hif"))
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp")
)
# What systems leave in folders and archives; hidden entries (a dot first) are passed over as well.
JUNK = frozenset(
    (
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        ".ds_store",
    )
)
# Files that lie beside pictures and are none: not worth a word.
BESIDE = frozenset(
    [
        ".txt",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".yaml",
        ".yml",
        ".md",
        ".rst",
        ".parquet",
        ".arrow",
        ".xlsx",
        ".xls",
        ".mat",
        ".npy",
        ".npz",
        ".html",
        ".htm",
        ".log",
        ".py",
        ".ipynb",
        ".sh",
        ".safetensors",
        ".journal",
        ".lock",
        ".ini",
        ".url",
        ".cff",
    ]
)
# What might have been meant to be read: (one, several), what to do, suffixes.
OTHER_KINDS: tuple[tuple[tuple[str, str], str, frozenset[str]], ...] = (
    (("HEIC file", "HEIC files"), install_command("heic"), HEIC_SUFFIXES),
    (
        ("raw camera file", "raw camera files"),
        "save them as JPEG or TIFF",
        frozenset((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw")),
    ),
    (
        ("video", "videos"),
        "take pictures out of them first",
        VIDEO_SUFFIXES,
    ),
    (
        ("drawing or page", "drawings or pages"),
        "save them as PNG",
        frozenset((".svg", ".svgz", ".eps", ".ps", ".ai", ".pdf")),
    ),
    (("JPEG XL file", "JPEG XL files"), "save them as PNG or JPEG", frozenset((".jxl",))),
    (
        ("archive", "archives"),
        "unpack them",
        frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".rar", ".7z", ".zst")),
    ),
)


def picture_suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of files that count as pictures in a folder."""
    return SUFFIXES | HEIC_SUFFIXES if is_available("pillow_heif") else SUFFIXES


def is_junk(name: str) -> bool:
    """Tell whether a file or folder is a system's leaving or hidden, never content."""
    return name.startswith(".") or name.lower() in JUNK


def kind_of(suffix: str) -> tuple[str, str]:
    """Return what one file and several files of a suffix are called."""
    for names, _, suffixes in OTHER_KINDS:
        if suffix in suffixes:
            return names
    if not suffix:
        return "file without a suffix", "files without a suffix"
    return f"{suffix} file", f"{suffix} files"
