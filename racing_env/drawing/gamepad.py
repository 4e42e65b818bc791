"""A gamepad's stick and triggers, of whatever make: SDL knows which axis is which."""

from racing_env.drawing.pygame_extra import controller, pygame

AXIS_MOST = 32767


class Gamepad:
    """The gamepad that was plugged in last, if there is one."""

    def __init__(self) -> None:
        controller.init()
        self._pad: controller.Controller | None = None

    def handle(self, event: pygame.event.Event) -> None:
        """Take note of one that comes (those that are there come first of all) or goes."""
        if event.type == pygame.CONTROLLERDEVICEADDED:
            self._pad = controller.Controller(event.device_index)
        elif event.type == pygame.CONTROLLERDEVICEREMOVED:
            self._pad = None

    def axes(self) -> tuple[float, float]:
        """Stick (left positive) and triggers (right one, to drive, positive), -1 to 1."""
        pad = self._pad
        if pad is None:
            return 0.0, 0.0
        stick = -pad.get_axis(pygame.CONTROLLER_AXIS_LEFTX) / AXIS_MOST
        drive = pad.get_axis(pygame.CONTROLLER_AXIS_TRIGGERRIGHT)
        brake = pad.get_axis(pygame.CONTROLLER_AXIS_TRIGGERLEFT)
        return stick, (drive - brake) / AXIS_MOST
