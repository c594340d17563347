"""EmoryNLP in both forms: episodes in JSON, and the table of MELD's authors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.data.dialogue_makers import write_json

from emosym.data.notes import Note
from emosym.data.sources.emorynlp import load_emorynlp


def turn(scene: str, number: int, emotion: str, *speakers: str) -> dict[str, Any]:
    name = f"{scene}_u{number:03d}"
    said = {"utterance_id": name, "speakers": list(speakers), "transcript": "Y\u2019serious?"}
    return {**said, "tokens": [["Y'serious", "?"]], "emotion": emotion}


def test_episodes(tmp_path: Path) -> None:
    scene = "s01_e02_c01"
    turns = [turn(scene, 1, "Neutral", "Joey"), turn(scene, 3, "Joyful", "Phoebe", "Rachel")]
    seasons = {
        "season_id": "s01",
        "episodes": [
            {"episode_id": "s01_e02", "scenes": [{"scene_id": scene, "utterances": turns}]},
            {"episode_id": "s01_e03", "scenes": [{"scene_id": "s01_e03_c01"}, 5]},
        ],
    }
    notes: list[Note] = []
    root = write_json(tmp_path / "emotion-detection-trn.json", seasons)
    found = load_emorynlp(root, "train", notes=notes)
    assert found.ids() == (f"{scene}_u001", f"{scene}_u003")
    assert [sample.label_of("mer") for sample in found] == ["neutral", "joyful"]
    assert found[0].turns[1].speaker == "Phoebe, Rachel"
    assert found[0].turns[0].text == "Y'serious?"
    assert Counter(note.kind for note in notes) == {"bad_row": 2, "id_gaps": 1}


def test_the_table(tmp_path: Path) -> None:
    header = '"Utterance","Speaker","Emotion","Scene_ID","Utterance_ID","Season","Episode"'
    rows = (
        '''"Also I was the point person.","['Chandler Bing']","Powerful","4","1","1","2"''',
        '''"You what?","['Ross Geller', 'All']","Scared","4","2","1","2"''',
        '''"Hi.","Joey","Mad","four","1","1","2"''',
    )
    (tmp_path / "emorynlp_dev_final.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "sea1_ep2_sc4_utt1.mp4").write_bytes(b"")
    notes: list[Note] = []
    found = load_emorynlp(tmp_path, "val", notes=notes)
    assert found.ids() == ("sea1_ep2_sc4_utt1", "sea1_ep2_sc4_utt2")
    assert [turn.speaker for turn in found[0].turns] == ["Chandler Bing", "Ross Geller, All"]
    assert found[0].turns[0].clip == tmp_path / "sea1_ep2_sc4_utt1.mp4"
    assert [sample.label_of("mer") for sample in found] == ["powerful", "scared"]
    assert Counter(note.kind for note in notes) == {"bad_row": 1, "missing_clips": 1}
