// The Query format's corners: lists, values, filters, pages; and the XML that goes back.
import { expect, test } from 'vitest'
import { Ec2Error } from './errors.ts'
import { applyFilters, checkFilters, readFilters } from './filters.ts'
import { pageOf, readPage, refuseIdsWithPages } from './pages.ts'
import { addresses, nicId, readParams, tags } from './params.ts'
import { document, el, list, maybe } from './xml.ts'

const params = (text: string) => readParams(new URLSearchParams(text))

const code = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof Ec2Error) return error.code
    throw error
  }
  return 'ok'
}

test('lists go by number, not by place, and may have gaps', () => {
  expect(params('Id.2=b&Id.10=c&Id.1=a&Idx.1=no').list('Id')).toEqual(['a', 'b', 'c'])
  const tagged = params('Tag.1.Key=k&Tag.1.Value=v&Tag.2.Key=empty')
  expect(tags(tagged.structures('Tag'))).toEqual({ k: 'v', empty: '' })
})

test('bad values are refused with the code that EC2 gives', () => {
  expect(code(() => params('A=1').required('B'))).toBe('MissingParameter')
  expect(code(() => params('A=1x').integer('A'))).toBe('InvalidParameterValue')
  expect(code(() => params('A=yes').flag('A'))).toBe('InvalidParameterValue')
  expect(code(() => params('A=1&A=2'))).toBe('InvalidParameterCombination')
  expect(code(() => nicId('eni-1'))).toBe('InvalidNetworkInterfaceID.Malformed')
  expect(code(() => addresses('x', ['10.0.0.256'], 4))).toBe('InvalidParameterValue')
  expect(code(() => addresses('x', ['::1'], 4))).toBe('InvalidParameterValue')
  const reserved = params('Tag.1.Key=aws:x')
  expect(code(() => tags(reserved.structures('Tag')))).toBe('InvalidParameterValue')
})

test('a parameter that nobody reads is refused', () => {
  const read = params('Action=X&Version=1&Known=1&Unknown=2')
  read.text('Known')
  expect(code(() => read.finish())).toBe('UnknownParameter')
})

const things = [
  { id: 'a', tags: { role: 'node', note: 'a*b' } },
  { id: 'b', tags: { role: 'nodule' } },
  { id: 'c', tags: {} },
]
const fields = { id: (thing: { readonly id: string }) => [thing.id] }

const filtered = (text: string) => {
  const filters = readFilters(params(text))
  checkFilters(filters, fields)
  return applyFilters(things, filters, fields)
    .map(thing => thing.id)
    .join('')
}

test('filters: any value of one, all of several, wildcards, tags', () => {
  expect(filtered('Filter.1.Name=id&Filter.1.Value.1=a&Filter.1.Value.2=c')).toBe('ac')
  expect(filtered('Filter.1.Name=tag:role&Filter.1.Value.1=nod*')).toBe('ab')
  expect(filtered('Filter.1.Name=tag:role&Filter.1.Value.1=nod?')).toBe('a')
  expect(
    filtered('Filter.1.Name=tag-key&Filter.1.Value.1=role&Filter.2.Name=id&Filter.2.Value.1=b'),
  ).toBe('b')
  expect(filtered(String.raw`Filter.1.Name=tag:note&Filter.1.Value.1=a\*b`)).toBe('a')
  expect(filtered('Filter.1.Name=id&Filter.1.Value.1=.')).toBe('')
  expect(code(() => filtered('Filter.1.Name=colour&Filter.1.Value.1=x'))).toBe(
    'InvalidParameterValue',
  )
  expect(code(() => filtered('Filter.1.Name=id'))).toBe('InvalidParameterValue')
})

test('pages cover everything once, also when things come and go between them', () => {
  const limits = { min: 5, max: 1000 }
  const ids = Array.from({ length: 12 }, (_, i) => String.fromCodePoint(97 + i))
  const page = (token?: string) => {
    const next = token === undefined ? '' : `&NextToken=${encodeURIComponent(token)}`
    return readPage(params(`MaxResults=5${next}`), limits, 'listing')
  }
  const one = pageOf(ids, id => id, page())
  const two = pageOf(
    ids.filter(id => id !== 'e' && id !== 'g'),
    id => id,
    page(one.nextToken),
  )
  const three = pageOf(ids, id => id, page(two.nextToken))
  expect(one.items.join('')).toBe('abcde')
  expect(two.items.join('')).toBe('fhijk')
  expect([three.items.join(''), three.nextToken]).toEqual(['l', undefined])
  const foreign = params(`MaxResults=5&NextToken=${encodeURIComponent(one.nextToken ?? '')}`)
  expect(code(() => readPage(foreign, limits, 'another listing'))).toBe('InvalidNextToken')
  expect(code(() => readPage(params('NextToken=x'), limits, 'listing'))).toBe('InvalidNextToken')
  expect(code(() => readPage(params('MaxResults=4'), limits, 'l'))).toBe('InvalidMaxResults')
  expect(code(() => readPage(params('MaxResults=1001'), limits, 'l'))).toBe('InvalidMaxResults')
  expect(code(() => refuseIdsWithPages(['x'], params('MaxResults=5'), 'Ids'))).toBe(
    'InvalidParameterCombination',
  )
})

test('XML escapes what it must and leaves out what is not there', () => {
  const root = el(
    'a',
    el('b', '<&">\r'),
    maybe('c', undefined),
    list('d', [1], n => [el('e', n)]),
  )
  expect(document(root, { xmlns: 'u"v' })).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
      '<a xmlns="u&quot;v"><b>&lt;&amp;&quot;&gt;&#13;</b><d><item><e>1</e></item></d></a>',
  )
})
