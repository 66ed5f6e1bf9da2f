import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("document", { baseURI: "http://host/prefix/", documentElement: {} });
const { pageAddress, siteOf } = await import("../src/ui/wetland");

describe("the page of a feature", () => {
  it("is that of the Ramsar number, digits only: the list doubts some", () => {
    expect(siteOf("ramsar-sites", { name: "洪湖", site_no: "1729" })).toBe("ramsar-1729");
    expect(siteOf("ramsar-sites", { name: "沉湖", site_no: "2184?" })).toBe("ramsar-2184");
    expect(siteOf("ramsar-sites", { name: "新湖", site_no: null })).toBe("新湖");
  });
  it("is that of the name of a reserve", () => {
    expect(siteOf("nature-reserves", { name: "石首麋鹿" })).toBe("reserve-石首麋鹿");
  });
  it("is none for other layers and for features without a name", () => {
    expect(siteOf("lakes", { name: "洪湖" })).toBeNull();
    expect(siteOf("ramsar-sites", {})).toBeNull();
  });
  it("keeps the prefix of a proxy and escapes the name", () => {
    expect(pageAddress("reserve-洪湖")).toBe("http://host/prefix/api/v1/wetlands/reserve-%E6%B4%AA%E6%B9%96?f=html&lang=zh");
  });
});
