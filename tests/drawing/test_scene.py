import numpy as np
import pytest

pygame = pytest.importorskip(
    "pygame", reason="rendering needs the extra: pip install -r requirements-render.txt"
)

from cars import RACECAR  # noqa: E402

from racing_env.drawing import scene  # noqa: E402 - after the skip
from racing_env.drawing.camera import camera_above  # noqa: E402
from racing_env.tracks.circuit import prepare_circuit  # noqa: E402
from racing_env.tracks.generator import built_in_track  # noqa: E402


@pytest.fixture(scope="module")
def circuit(tmp_path_factory):
    return prepare_circuit(
        built_in_track("club", RACECAR), cache_dir=tmp_path_factory.mktemp("cache")
    )


def test_the_start_line_reaches_from_border_to_border_at_station_0(circuit):
    track = circuit.track
    drawn = scene.scene_of(circuit, RACECAR)
    assert len(drawn.start) % 2 == 0
    width = track.width_right_m[0] + track.width_left_m[0]
    first_row = drawn.start[: len(drawn.start) // scene.START_ROWS]
    assert np.linalg.norm(first_row[0, 0] - first_row[-1, 1]) == pytest.approx(width)
    along = (drawn.start - drawn.centre[0]) @ [np.cos(track.psi_rad[0]), np.sin(track.psi_rad[0])]
    assert along.min() == pytest.approx(0.0, abs=1e-9)
    assert along.max() == pytest.approx(scene.START_ROWS * scene.START_SQUARE * RACECAR.width_m)


def test_asphalt_is_within_the_borders_and_grass_outside(circuit):
    drawn = scene.scene_of(circuit, RACECAR)
    surface = pygame.Surface((960, 540), 0, 32)
    camera = camera_above(drawn.border[:, 200:230].reshape(-1, 2), np.full(2, 100), np.full(2, 340))
    scene.draw_ground(surface, camera, RACECAR.width_m)
    scene.draw_track(surface, camera, drawn)
    right, left = drawn.border[:, 215]
    on = right + 0.3 * (left - right)
    beyond = right - 0.3 * (left - right)
    assert surface.get_at(camera(on).astype(int).tolist())[:3] == scene.ASPHALT
    assert surface.get_at(camera(beyond).astype(int).tolist())[:3] in (
        scene.GRASS, scene.GRASS_STRIPE, *scene.KERBS,
    )  # fmt: skip
