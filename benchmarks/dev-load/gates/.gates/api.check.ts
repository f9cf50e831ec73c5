// Never runs: it type-checks only if src/desk.ts exports the pinned API.
import * as lib from "../src/desk";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const pinned = <_ extends true>(): void => undefined;

pinned<Same<lib.BookingStatus, "confirmed" | "waiting" | "cancelled">>();
pinned<
  Same<
    lib.DeskErrorCode,
    "invalid-room" | "invalid-option" | "invalid-request" | "too-many-seats" | "unknown-room" | "unknown-booking"
  >
>();
pinned<Same<lib.Booking["roomId"], string | null>>();
pinned<Same<lib.Booking["id"], string>>();

export const createDesk: (rooms: readonly lib.Room[], options?: lib.DeskOptions) => lib.Desk = lib.createDesk;
export const book: (desk: lib.Desk, request: lib.BookingRequest) => lib.Booking = lib.book;
export const cancel: (desk: lib.Desk, id: string) => lib.Booking[] = lib.cancel;
export const agenda: (desk: lib.Desk, roomId: string) => lib.Booking[] = lib.agenda;
export const waitlist: (desk: lib.Desk) => lib.Booking[] = lib.waitlist;
export const freeSpans: (desk: lib.Desk, roomId: string, window: lib.Span, minMinutes?: number) => lib.Span[] =
  lib.freeSpans;
export const usage: (desk: lib.Desk, window: lib.Span) => lib.RoomUsage[] = lib.usage;

export const request: lib.BookingRequest = { owner: "o", start: 0, end: 1, seats: 1 };
export const options: lib.DeskOptions = { turnover: 1 };
export const room: lib.Room = { id: "r", seats: 1 };
export const share: (u: lib.RoomUsage) => number = (u) => u.bookedMinutes + u.share + u.roomId.length;
export const status: (b: lib.Booking) => lib.BookingStatus = (b) => b.status;
export const error: Error & { readonly code: lib.DeskErrorCode } = new lib.DeskError("unknown-room", "text");
