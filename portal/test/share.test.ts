import { describe, expect, it } from "vitest";
import { decode, encode, type ShareState } from "../src/share";

const STATE: ShareState = {
  lon: 114.305,
  lat: 30.593,
  zoom: 9.25,
  tileSet: "CGCS2000Quad",
  base: "plain",
  layers: [
    { id: "dem", opacity: 0.7, visible: true },
    { id: "counties", opacity: 1, visible: false },
  ],
  lang: "en",
  tool: "compare",
  swipe: { layer: "dem", at: 0.35 },
};

describe("share link", () => {
  it("round trip", () => expect(decode(encode(STATE))).toEqual(STATE));
  it("round trip without layers and swipe", () => {
    const bare: ShareState = { ...STATE, layers: [], swipe: null, tileSet: "WebMercatorQuad", lang: "zh" };
    expect({ swipe: null, ...decode(encode(bare)) }).toEqual(bare);
  });
  it("is stable: encoding what was decoded gives the same link", () => {
    const link = encode(STATE);
    expect(encode({ ...STATE, ...decode(link) })).toBe(link);
  });
  it("leaves out what is malformed and keeps the rest", () => {
    expect(decode("#v=1&c=abc,30&z=&t=q&b=none&l=dem:500:1,<x>:1,dem:20:1&lang=fr&p=admin")).toEqual({
      base: "none",
      layers: [{ id: "dem", opacity: 1, visible: true }],
    });
  });
  it("does not read a later format, nor nothing", () => {
    expect(decode("#v=2&c=114,30")).toEqual({});
    expect(decode("")).toEqual({});
  });
});
