// A small XML writer: elements are values, text is escaped once, at the end.

/** An element with its children in order. */
export interface Element {
  readonly name: string
  readonly children: readonly Node[]
  readonly attributes: Readonly<Record<string, string>>
}

type Node = Element | string

type Content = Node | number | boolean | undefined | readonly (Node | undefined)[]

/** One element. Numbers and booleans become text; an undefined child is left out. */
export const el = (name: string, ...content: readonly Content[]): Element => ({
  name,
  children: content.flat().flatMap(child => (child === undefined ? [] : [asNode(child)])),
  attributes: {},
})

/** An element only when there is something to say: undefined for undefined content. */
export const maybe = (name: string, content: Content): Element | undefined =>
  content === undefined ? undefined : el(name, content)

/** EC2's list: each value in its own `<item>`. An empty list is an empty element. */
export const list = <T>(
  name: string,
  values: readonly T[],
  render: (value: T) => readonly (Element | string | undefined)[],
): Element => el(name, ...values.map(value => el('item', ...render(value))))

/** The document's text, with the XML declaration. */
export const document = (
  root: Element,
  attributes: Readonly<Record<string, string>> = {},
): string => `<?xml version="1.0" encoding="UTF-8"?>\n${text({ ...root, attributes })}`

const asNode = (child: Node | number | boolean): Node =>
  typeof child === 'object' ? child : String(child)

const text = (node: Node): string => {
  if (typeof node === 'string') return escape(node)
  const attributes = Object.entries(node.attributes).map(
    ([key, value]) => ` ${key}="${escape(value)}"`,
  )
  const inner = node.children.map(text).join('')
  return `<${node.name}${attributes.join('')}>${inner}</${node.name}>`
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  // A parser would turn a bare carriage return into a line feed (XML 1.0 section 2.11).
  '\r': '&#13;',
}

const escape = (value: string): string =>
  value.replaceAll(/[&<>"\r]/g, char => escapes[char] ?? char)
