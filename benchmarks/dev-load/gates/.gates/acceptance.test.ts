// The hidden acceptance test of dev-load. No agent ever sees it; it enters a
// copy of the workspace when the gates run.
import { describe, expect, it } from "vitest";
import { agenda, book, cancel, createDesk, DeskError, freeSpans, usage, waitlist } from "../src/desk";
import type { Booking, Desk, DeskErrorCode } from "../src/desk";

const FLOOR = [
  { id: "larch", seats: 10 },
  { id: "aspen", seats: 3 },
  { id: "maple", seats: 6 },
  { id: "cedar", seats: 3 },
];

function ask(desk: Desk, start: number, end: number, seats = 2, owner = "zoe"): Booking {
  return book(desk, { owner, start, end, seats });
}

function codeOf(action: () => unknown): DeskErrorCode | "no error" {
  try {
    action();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(DeskError);
    expect(thrown).toBeInstanceOf(Error);
    return (thrown as DeskError).code;
  }
  return "no error";
}

const ids = (list: readonly Booking[]): string[] => list.map((entry) => entry.id);

describe("opening a desk", () => {
  it("refuses rooms that cannot be", () => {
    const bad = [
      [],
      [{ id: "  ", seats: 4 }],
      [{ id: "fir", seats: 0 }],
      [{ id: "fir", seats: 2.5 }],
      [{ id: "fir", seats: 7 }, { id: "fir", seats: 9 }],
    ];
    for (const rooms of bad) {
      expect(codeOf(() => createDesk(rooms)), JSON.stringify(rooms)).toBe("invalid-room");
    }
  });

  it("refuses a turnover that is no whole number of minutes", () => {
    for (const turnover of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(codeOf(() => createDesk(FLOOR, { turnover }))).toBe("invalid-option");
    }
    expect(codeOf(() => createDesk(FLOOR, { turnover: 0 }))).toBe("no error");
    expect(codeOf(() => createDesk(FLOOR, {}))).toBe("no error");
  });
});

describe("asking for a room", () => {
  it("refuses broken requests, and they leave no trace", () => {
    const desk = createDesk(FLOOR);
    const fine = { owner: "zoe", start: 30, end: 45, seats: 2 };
    const broken = [
      { ...fine, owner: " \t" },
      { ...fine, start: -1 },
      { ...fine, start: 30.5 },
      { ...fine, end: 44.5 },
      { ...fine, end: 30 },
      { ...fine, end: 29 },
      { ...fine, seats: 0 },
      { ...fine, seats: 1.5 },
      { ...fine, start: Number.NaN },
      { ...fine, end: Number.POSITIVE_INFINITY },
    ];
    for (const request of broken) {
      expect(codeOf(() => book(desk, request)), JSON.stringify(request)).toBe("invalid-request");
    }
    expect(codeOf(() => book(desk, { ...fine, seats: 11 }))).toBe("too-many-seats");
    expect(book(desk, fine).id).toBe("b1");
    expect(waitlist(desk)).toEqual([]);
  });

  it("returns the whole booking", () => {
    const desk = createDesk(FLOOR);
    expect(ask(desk, 0, 15, 3, "  Ines Roth\n")).toEqual({
      id: "b1", owner: "Ines Roth", start: 0, end: 15, seats: 3, status: "confirmed", roomId: "aspen",
    });
  });

  it("fills the smallest room first, ties by the order given", () => {
    const desk = createDesk(FLOOR);
    const taken = [1, 2, 3, 4, 5].map(() => ask(desk, 600, 660));
    expect(taken.map((entry) => entry.roomId)).toEqual(["aspen", "cedar", "maple", "larch", null]);
    expect(taken.map((entry) => entry.status).slice(3)).toEqual(["confirmed", "waiting"]);
    expect(ids(taken)).toEqual(["b1", "b2", "b3", "b4", "b5"]);
    expect(ask(createDesk(FLOOR), 5, 6, 4).roomId).toBe("maple");
  });

  it("lets neighbours touch when no turnover is asked for", () => {
    const desk = createDesk([{ id: "birch", seats: 2 }]);
    const got = [ask(desk, 200, 230), ask(desk, 230, 231), ask(desk, 170, 200), ask(desk, 199, 201), ask(desk, 210, 220)];
    expect(got.map((entry) => entry.status)).toEqual(["confirmed", "confirmed", "confirmed", "waiting", "waiting"]);
  });

  it("keeps the turnover on both sides", () => {
    const desk = createDesk([{ id: "birch", seats: 2 }], { turnover: 15 });
    expect(ask(desk, 300, 330).status).toBe("confirmed");
    expect(ask(desk, 344, 350).status).toBe("waiting");
    expect(ask(desk, 280, 286).status).toBe("waiting");
    expect(ask(desk, 345, 350).status).toBe("confirmed");
    expect(ask(desk, 280, 285).status).toBe("confirmed");
    expect(ids(agenda(desk, "birch"))).toEqual(["b5", "b1", "b4"]);
  });
});

describe("cancelling", () => {
  it("serves everyone who fits now, in the order of asking", () => {
    const desk = createDesk([{ id: "hall", seats: 8 }, { id: "nook", seats: 2 }]);
    ask(desk, 0, 480, 8); // b1 hall
    ask(desk, 0, 480, 2); // b2 nook
    ask(desk, 0, 481, 2); // b3 waits
    ask(desk, 100, 200, 5); // b4 waits for the hall
    ask(desk, 150, 250, 5); // b5 waits for the hall
    ask(desk, 400, 480, 1); // b6 waits for any
    ask(desk, 200, 260, 7); // b7 waits for the hall
    expect(ids(waitlist(desk))).toEqual(["b3", "b4", "b5", "b6", "b7"]);

    expect(cancel(desk, "b3")).toEqual([]);
    const served = cancel(desk, "b1");
    expect(ids(served)).toEqual(["b4", "b6", "b7"]);
    expect(served.map((entry) => [entry.status, entry.roomId])).toEqual([
      ["confirmed", "hall"], ["confirmed", "hall"], ["confirmed", "hall"],
    ]);
    expect(ids(waitlist(desk))).toEqual(["b5"]);
    expect(ids(agenda(desk, "hall"))).toEqual(["b4", "b7", "b6"]);
  });

  it("gives the freed room by the same rule as a new request", () => {
    const desk = createDesk([{ id: "hall", seats: 8 }, { id: "nook", seats: 2 }, { id: "den", seats: 2 }]);
    for (let i = 0; i < 4; i++) ask(desk, 10, 20); // nook, den, hall, waiting
    expect(cancel(desk, "b2").map((entry) => entry.roomId)).toEqual(["den"]);
    expect(ask(desk, 10, 20).status).toBe("waiting");
  });

  it("does nothing the second time, nor for somebody who waited", () => {
    const desk = createDesk([{ id: "nook", seats: 2 }]);
    ask(desk, 10, 20);
    ask(desk, 10, 20);
    ask(desk, 15, 20);
    expect(cancel(desk, "b2")).toEqual([]);
    expect(ids(waitlist(desk))).toEqual(["b3"]);
    expect(ids(cancel(desk, "b1"))).toEqual(["b3"]);
    expect(cancel(desk, "b1")).toEqual([]);
    expect(cancel(desk, "b2")).toEqual([]);
    expect(ids(agenda(desk, "nook"))).toEqual(["b3"]);
    expect(ask(desk, 10, 15).id).toBe("b4");
  });

  it("knows only the ids that it gave out", () => {
    const desk = createDesk(FLOOR);
    ask(desk, 1, 2);
    for (const id of ["b2", "b0", "", "B1"]) {
      expect(codeOf(() => cancel(desk, id))).toBe("unknown-booking");
    }
  });
});

describe("looking at the desk", () => {
  it("names unknown rooms and broken windows", () => {
    const desk = createDesk(FLOOR);
    const day = { start: 0, end: 1440 };
    expect(codeOf(() => agenda(desk, "willow"))).toBe("unknown-room");
    expect(codeOf(() => freeSpans(desk, "willow", day))).toBe("unknown-room");
    for (const window of [{ start: 9, end: 9 }, { start: -5, end: 9 }, { start: 0.5, end: 9 }, { start: 3, end: 8.25 }]) {
      expect(codeOf(() => freeSpans(desk, "aspen", window))).toBe("invalid-request");
      expect(codeOf(() => usage(desk, window))).toBe("invalid-request");
    }
    for (const shortest of [0, -3, 1.5]) {
      expect(codeOf(() => freeSpans(desk, "aspen", day, shortest))).toBe("invalid-request");
    }
  });

  it("finds the free spans around bookings and their turnover", () => {
    const desk = createDesk([{ id: "birch", seats: 2 }], { turnover: 10 });
    ask(desk, 400, 460);
    ask(desk, 100, 160);
    ask(desk, 180, 240);
    ask(desk, 405, 410); // waits, so it blocks nothing
    expect(freeSpans(desk, "birch", { start: 0, end: 500 })).toEqual([
      { start: 0, end: 90 }, { start: 250, end: 390 }, { start: 470, end: 500 },
    ]);
    expect(freeSpans(desk, "birch", { start: 0, end: 500 }, 90)).toEqual([{ start: 0, end: 90 }, { start: 250, end: 390 }]);
    expect(freeSpans(desk, "birch", { start: 85, end: 255 })).toEqual([{ start: 85, end: 90 }, { start: 250, end: 255 }]);
    expect(freeSpans(desk, "birch", { start: 245, end: 395 })).toEqual([{ start: 250, end: 390 }]);
    expect(freeSpans(desk, "birch", { start: 110, end: 120 })).toEqual([]);
    expect(freeSpans(desk, "birch", { start: 600, end: 700 })).toEqual([{ start: 600, end: 700 }]);
    expect(freeSpans(desk, "birch", { start: 20, end: 30 })).toEqual([{ start: 20, end: 30 }]);
  });

  it("offers exactly the spans that can be booked", () => {
    const fresh = (): Desk => {
      const desk = createDesk([{ id: "birch", seats: 2 }], { turnover: 7 });
      ask(desk, 50, 60);
      ask(desk, 90, 120);
      return desk;
    };
    for (const span of freeSpans(fresh(), "birch", { start: 10, end: 200 })) {
      expect(ask(fresh(), span.start, span.end).status).toBe("confirmed");
      if (span.start > 10) expect(ask(fresh(), span.start - 1, span.end).status).toBe("waiting");
      if (span.end < 200) expect(ask(fresh(), span.start, span.end + 1).status).toBe("waiting");
    }
  });

  it("sums the minutes inside the window, room by room", () => {
    const desk = createDesk([{ id: "oak", seats: 9 }, { id: "yew", seats: 2 }], { turnover: 5 });
    ask(desk, 0, 100);
    ask(desk, 110, 150);
    ask(desk, 120, 130, 4);
    ask(desk, 125, 128, 9); // waits
    expect(usage(desk, { start: 60, end: 140 })).toEqual([
      { roomId: "oak", bookedMinutes: 10, share: 10 / 80 },
      { roomId: "yew", bookedMinutes: 70, share: 70 / 80 },
    ]);
    expect(usage(desk, { start: 160, end: 200 })).toEqual([
      { roomId: "oak", bookedMinutes: 0, share: 0 },
      { roomId: "yew", bookedMinutes: 0, share: 0 },
    ]);
    cancel(desk, "b3"); // b4 moves in
    expect(usage(desk, { start: 100, end: 200 }).map((room) => room.bookedMinutes)).toEqual([3, 40]);
  });
});

describe("keeping to itself", () => {
  it("hands out copies and keeps none of the caller's objects", () => {
    const rooms = [{ id: "birch", seats: 2 }];
    const request = { owner: "zoe", start: 10, end: 20, seats: 2 };
    const options = { turnover: 0 };
    const desk = createDesk(rooms, options);
    const first = book(desk, request) as { -readonly [K in keyof Booking]: Booking[K] };
    request.end = 9000;
    options.turnover = 500;
    rooms[0]!.seats = 900;
    rooms.push({ id: "late", seats: 900 });
    first.end = 8000;
    first.status = "cancelled";
    const second = book(desk, { owner: "zoe", start: 20, end: 30, seats: 1 });
    expect([second.status, second.roomId]).toEqual(["confirmed", "birch"]);
    expect(codeOf(() => ask(desk, 0, 1, 3))).toBe("too-many-seats");
    ask(desk, 10, 30);

    for (const list of [agenda(desk, "birch"), waitlist(desk)]) {
      for (const entry of list as { -readonly [K in keyof Booking]: Booking[K] }[]) entry.start = 0;
      list.length = 0;
    }
    expect(agenda(desk, "birch").map((entry) => [entry.start, entry.end])).toEqual([[10, 20], [20, 30]]);
    expect(waitlist(desk).map((entry) => entry.start)).toEqual([10]);

    cancel(desk, "b2");
    const served = cancel(desk, "b1") as { -readonly [K in keyof Booking]: Booking[K] }[];
    expect(ids(served)).toEqual(["b3"]);
    served[0]!.roomId = null;
    served[0]!.end = 11;
    expect(agenda(desk, "birch").map((entry) => [entry.id, entry.roomId, entry.end])).toEqual([["b3", "birch", 30]]);
  });

  it("lets two desks live side by side", () => {
    const one = createDesk(FLOOR);
    const two = createDesk(FLOOR);
    expect([ask(one, 1, 2).id, ask(two, 1, 2).id, ask(one, 1, 2).roomId]).toEqual(["b1", "b1", "cedar"]);
    expect(agenda(two, "cedar")).toEqual([]);
  });
});
