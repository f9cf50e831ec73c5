test("holds", () => {})
