"""Gradients of what follows a control step: of a car's place on its circuit, and of its pay."""

import math

from racing_env.car import dynamics as dyn
from racing_env.car.kernels import inlined
from racing_env.simulation.rewards import pay
from racing_env.tracks import bank

PAY_CHANGES = 1e-3  # for differences of the pay, of `gradients.state_changes`
DEMAND_CHANGE = 1e-4  # likewise, of the steering's full lock


@inlined
def slope(table, row, next_row, column):
    """Of a column, between two stations."""
    return table[next_row, column] - table[row, column]


@inlined
def following_row(circuits, c, station):
    """The row of a station's follower in the table."""
    return circuits.first[c] + (station + 1 if station + 1 < circuits.count[c] else 0)


@inlined
def add_place_gradient(state, car, circuits, c, station, fraction, by_fraction, by_offset, out):
    """Add to out (STATE_SIZE, n) what a gradient by a car's fraction and offset is by its state.

    Of `racing_env.tracks.bank.project`, at state (STATE_SIZE, n).
    """
    table = circuits.table
    row, next_row = circuits.first[c] + station, following_row(circuits, c, station)
    x = state[dyn.X, car] - circuits.origin_m[c, 0]
    y = state[dyn.Y, car] - circuits.origin_m[c, 1]
    cos, sin = table[row, bank.COS], table[row, bank.SIN]
    next_cos, next_sin = table[next_row, bank.COS], table[next_row, bank.SIN]
    along = (x - table[row, bank.X]) * cos + (y - table[row, bank.Y]) * sin
    next_along = (x - table[next_row, bank.X]) * next_cos
    next_along += (y - table[next_row, bank.Y]) * next_sin
    gap = along - next_along
    if gap <= 0.0:  # past the centre of a tight corner: no pair of stations encloses the car
        return
    fraction_x = (along * next_cos - next_along * cos) / (gap * gap)
    fraction_y = (along * next_sin - next_along * sin) / (gap * gap)

    normal_x = -bank.blend(table, row, next_row, fraction, bank.SIN)
    normal_y = bank.blend(table, row, next_row, fraction, bank.COS)
    per_length = 1.0 / math.sqrt(normal_x * normal_x + normal_y * normal_y)
    from_x = x - bank.blend(table, row, next_row, fraction, bank.X)
    from_y = y - bank.blend(table, row, next_row, fraction, bank.Y)
    turn_x = -slope(table, row, next_row, bank.SIN)
    turn_y = slope(table, row, next_row, bank.COS)
    offset = (from_x * normal_x + from_y * normal_y) * per_length
    bulge = 0.5 * table[row, bank.KAPPA] * circuits.step_m[c] * circuits.step_m[c]
    offset_by_fraction = bulge * (1.0 - 2.0 * fraction)
    offset_by_fraction += per_length * (
        from_x * turn_x + from_y * turn_y
        - slope(table, row, next_row, bank.X) * normal_x
        - slope(table, row, next_row, bank.Y) * normal_y
        - offset * per_length * (normal_x * turn_x + normal_y * turn_y)
    )  # fmt: skip
    by_fraction += by_offset * offset_by_fraction
    out[dyn.X, car] += by_fraction * fraction_x + by_offset * normal_x * per_length
    out[dyn.Y, car] += by_fraction * fraction_y + by_offset * normal_y * per_length


@inlined
def line_time_slope(circuits, c, station):
    """Of the speed profile's time, by a car's fraction."""
    start = circuits.table[circuits.first[c] + station, bank.LINE_TIME]
    return bank.next_line_time(circuits, c, station) - start


@inlined
def _paid(pays, state, car, gained_s, room, demand, weights, vehicle, dt_s):
    """Sum of the terms of a step that does not end the episode."""
    pay(pays, state, car, gained_s, room, demand, False, weights, vehicle, dt_s)
    total = 0.0
    for term in range(len(pays)):
        total += pays[term]
    return total


@inlined
def add_pay_gradient(
    state, car, circuits, c, station, fraction, offset, gained_s, demand, weights, dt_s, changes,
    pays, out,
):  # fmt: skip
    """Add the gradient of a step's pay by the state after it to out (STATE_SIZE, n).

    By differences of `pay` itself, so that a term is written down once. state: (STATE_SIZE, n);
    changes: (STATE_SIZE,), small ones of the state; pays: (terms,), scratch; the rest as `pay` has
    it. Returns what the pay changes with the profile's time that was gained, with the car's
    fraction and offset, and with the demand on the steering.
    """
    table, vehicle = circuits.table, circuits.vehicle
    row, next_row = circuits.first[c] + station, following_row(circuits, c, station)
    left = bank.blend(table, row, next_row, fraction, bank.ROOM_LEFT) - offset
    right = bank.blend(table, row, next_row, fraction, bank.ROOM_RIGHT) + offset
    room = min(left, right)
    rest = (weights, vehicle, dt_s)
    paid = _paid(pays, state, car, gained_s, room, demand, *rest)
    for i in range(dyn.VX, dyn.STATE_SIZE):  # place and heading count by the room and the time
        earlier = state[i, car]
        state[i, car] = earlier + changes[i]
        out[i, car] += (_paid(pays, state, car, gained_s, room, demand, *rest) - paid) / changes[i]
        state[i, car] = earlier
    change_s, change_m = PAY_CHANGES * dt_s, changes[dyn.X]
    by_gained = (
        _paid(pays, state, car, gained_s + change_s, room, demand, *rest) - paid
    ) / change_s
    by_room = (_paid(pays, state, car, gained_s, room + change_m, demand, *rest) - paid) / change_m
    by_demand = (
        _paid(pays, state, car, gained_s, room, demand + DEMAND_CHANGE, *rest) - paid
    ) / DEMAND_CHANGE
    if left < right:
        by_fraction = by_room * slope(table, row, next_row, bank.ROOM_LEFT)
        return by_gained, by_fraction, -by_room, by_demand
    by_fraction = by_room * slope(table, row, next_row, bank.ROOM_RIGHT)
    return by_gained, by_fraction, by_room, by_demand
